// Figures for the bench.
import { figures, full, open, until } from "../page.mjs";
import { usedSeconds } from "../processes.mjs";

/** Figures for the bench: frames drawn, latency, the worker's ticks, the transform's time. */
export async function bench(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  await page.waitForTimeout(2000);
  await page.evaluate(() => globalThis.tympan.forgetLatencies());
  const begin = await figures(page);
  const [at, used] = [Date.now(), usedSeconds(job.server)];
  // The page keeps the last ten seconds of latencies and the last twenty of ticks: of all of them the worst are told.
  let [latencyP50, latencyP95, tickP99] = [0, 0, 0];
  while (Date.now() - at < job.seconds * 1000) {
    await page.waitForTimeout(Math.min(9000, Math.max(1, job.seconds * 1000 - (Date.now() - at))));
    const now = await figures(page);
    latencyP50 = Math.max(latencyP50, now.latencyP50);
    latencyP95 = Math.max(latencyP95, now.latencyP95);
    tickP99 = Math.max(tickP99, now.status.tickP99);
  }
  const end = await figures(page);
  const seconds = (Date.now() - at) / 1000;
  const serverShare = ((usedSeconds(job.server) - used) / seconds) * 100;
  await page.evaluate((turns) => globalThis.tympan.measure(turns), 20_000);
  const measured = (await until(page, "the transform's time", (seen) => seen.measured > 0, 60)).measured;
  await context.close();
  const received = { bytes: end.status.received.bytes - begin.status.received.bytes, samples: end.status.received.samples - begin.status.received.samples };
  return {
    fps: (end.draws - begin.draws) / seconds, latencyP50, latencyP95, tickP99, serverShare,
    transformUs: measured, lost: end.status.lost - begin.status.lost, skipped: end.status.skipped - begin.status.skipped, bytesPerSample: received.bytes / received.samples / 4,
    load: end.status.load, quality: end.status.quality, kind: end.kind, seconds, faults,
  };
}
