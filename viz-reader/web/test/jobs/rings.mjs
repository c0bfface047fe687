// What rings do: gaps, epochs, ends, others in their places, and kinds that are seldom.
import { writeFileSync } from "node:fs";
import { account, figures, full, open, until, violations } from "../page.mjs";
import { LOOKED_AT, still, striped, waveIn } from "../pixels.mjs";

/** Gaps, another epoch, an end: told, drawn, and gone through. `orders` are written to files that the test watches. */
export async function breaks(browser, job) {
  const order = (text) => writeFileSync(job.orders, `${text}\n`, { flag: "a" });
  const [one, two] = [await open(browser, job), await open(browser, job, { viewport: { width: 375, height: 700 } })];
  await until(one.page, "a picture", full(job.lanes));
  await until(two.page, "a picture in the other browser", full(job.lanes));
  order("gap 300");
  const gap = await until(one.page, "the gap", (seen) => seen.status.gaps >= 14_400);
  await until(two.page, "the gap in the other browser", (seen) => seen.status.gaps >= 14_400);
  // What follows the gap is seen, too.
  await until(one.page, "sound after it", (seen) => seen.end[0] > gap.end[0] + 0.7);
  await one.page.keyboard.press(" ");
  await until(one.page, "a pause", (seen) => seen.back === 0 && seen.settled);
  const { image, now: paused, columnS } = await still(one.page);
  // Stripes of the gap's colour in the wave; in the spectrogram half a transform more on both sides: none needs a frame of it.
  const hatched = (await striped(one.page, image, paused.places[0].wave, "--faint")).length;
  const dark = (await striped(one.page, image, paused.places[0].colours, "--faint")).length;
  const { fft, hop } = paused.status;
  await one.page.keyboard.press("Home");
  const before = (await figures(one.page)).end[0];
  order("epoch");
  const after = await until(one.page, "the next epoch", (seen) =>
    seen.back === null && seen.end[0] > before + 2 && seen.status.gaps > gap.status.gaps);
  order("close");
  await one.page.waitForFunction(() => document.getElementById("connection").dataset.state === "ended", null, { timeout: 30_000 });
  const answer = {
    gaps: gap.status.gaps, hatched, dark, darkExpected: (0.3 + fft / 48_000) / columnS, hopColumns: hop / 48_000 / columnS, after: after.status.gaps, lost: after.status.lost, expected: 0.3 / columnS,
    other: (await figures(two.page)).status.lost, faults: [...one.faults, ...two.faults], violations: await violations(one.page),
    overflow: await two.page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
  };
  await one.context.close();
  await two.context.close();
  return answer;
}

/** A ring of an unusual kind for two seconds: what came, what was lost, and whether a click is answered. */
export async function unusual(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes), 60);
  const before = await figures(page);
  await until(page, "two seconds", (seen) => seen.end[0] > before.end[0] + 2);
  const clickedAt = Date.now();
  await page.click("#theme");
  await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  const clickMs = Date.now() - clickedAt;
  const after = await until(page, "the sound of now", (seen) => seen.settled && seen.draws > before.draws && seen.status.clocks[seen.lanes[0].clock]);
  const numbers = [...after.status.meters.flatMap(({ peak, rms, held }) => [peak, rms, held]), ...after.status.pairs.map(({ value }) => value)];
  const answer = {
    before: account(before), after: account(after), clickMs, tone: after.status.tones.at(-1)?.[0] ?? null, finite: numbers.every(Number.isFinite), numbers: numbers.map(String),
    rateHz: after.lanes[0].rateHz, faults, violations: await violations(page),
  };
  await context.close();
  return answer;
}

/** A ring that another program's takes the place of, and one whose writer dies: `orders` as in `breaks`; `crash` is a process. */
export async function replaced(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  const before = await until(page, "three seconds", (seen) => seen.end[0] > 3);
  writeFileSync(job.orders, "anew\n", { flag: "a" });
  const after = await until(page, "the other ring", (seen) =>
    full(job.lanes)(seen) && seen.lanes[0].clock !== before.lanes[0].clock && seen.end[0] > 0.5 && seen.status.clocks[seen.lanes[0].clock]);
  const later = await until(page, "a second of it", (seen) => account(seen).newest >= account(after).newest + after.lanes[0].rateHz);
  process.kill(job.crash, "SIGKILL");
  await page.waitForFunction(() => document.getElementById("connection").dataset.state === "ended", null, { timeout: 30_000 });
  await page.click("#theme");
  await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  const ended = await figures(page);
  const answer = { before: account(before), after: account(after), later: account(later), states: ended.lanes.map((lane) => lane.state), faults, violations: await violations(page) };
  await context.close();
  return answer;
}

/** A page that is opened while another one looks at a ring that stands still: both show its past. */
export async function standing(browser, job) {
  const seen = [];
  for (const number of [1, 2]) {
    const { page, faults } = await open(browser, job);
    const stands = (now) => now.lanes.length === 1 && now.settled && Math.abs(now.end[0] - job.endS) < 0.02;
    const now = await until(page, `page ${number}`, stands, 60);
    const { image, now: drawn } = await still(page);
    const wave = await waveIn(page, image, drawn.places[0].wave, Math.floor(image.width * LOOKED_AT));
    seen.push({ end: now.end[0], above: wave.above, half: (drawn.places[0].wave.height - 1) / 2, faults, violations: await violations(page) });
  }
  return seen;
}
