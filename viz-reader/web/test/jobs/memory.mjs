// Memory over many frames.
import { account, figures, full, open, set, until, violations } from "../page.mjs";
import { anonymousMb, renderers } from "../processes.mjs";

/** Draws so many frames as fast as they go; the memory of page and server ten times on the way. */
export async function endure(browser, job) {
  const { page, context, faults } = await open(browser, job);
  const begin = await until(page, "a picture", full(job.lanes));
  await set(page, "speed", 480);
  const pids = await renderers(browser);
  const devtools = await context.newCDPSession(page);
  const looks = [];
  const beganAt = Date.now();
  for (let part = 1; part <= 10; part++) {
    await until(page, `${part} tenths`, (seen) => seen.draws - begin.draws >= (job.frames * part) / 10, job.seconds / 10);
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    looks.push({ heapMb: usedSize / 2 ** 20, pageMb: anonymousMb(pids), serverMb: anonymousMb([job.server]), seconds: (Date.now() - beganAt) / 1000 });
  }
  const end = await figures(page);
  const answer = { looks, draws: end.draws - begin.draws, before: account(begin), after: account(end), faults, violations: await violations(page) };
  await context.close();
  return answer;
}
