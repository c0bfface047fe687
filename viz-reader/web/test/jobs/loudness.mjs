// The loudness of an instance's mix.
import { open, violations } from "../page.mjs";

/** A level as it is shown, once there is one. */
const LEVEL = /^−?\d+\.\d$/;

/** What the page says of it once it does not change any more; and when the instance has ended. */
export async function loudness(browser, job) {
  const { page, context, faults } = await open(browser, job);
  const text = (id) => page.textContent(`#${id}`);
  const begin = Date.now();
  // Momentary, short-term, integrated; and the true peak.
  for (let [last, same] = ["", 0]; same < 5; ) {
    await page.waitForTimeout(250);
    const now = `${await text("loudness")}  ${await text("true-peak")}`;
    const levels = now.trim().split(/\s+/);
    same = now === last && levels.length === 4 && levels.every((one) => LEVEL.test(one)) ? same + 1 : 0;
    last = now;
    if (Date.now() - begin > 60_000) throw new Error(`a steady loudness: not within 60 s: ${now}`);
  }
  const shown = await page.isVisible("#loudness-figure");
  const seen = { shown, loudness: await text("loudness"), truePeak: await text("true-peak") };
  process.kill(job.instance, "SIGINT");
  await page.waitForFunction(() => document.getElementById("loudness-figure").hidden, null, { timeout: 30_000 });
  const answer = { ...seen, faults, violations: await violations(page) };
  await context.close();
  return answer;
}
