// A page that has too little of the processor.
import { account, full, open, pace, until, violations } from "../page.mjs";
import { aSixth, renderers } from "../processes.mjs";
import { drawnSince, nowAgain } from "./away.mjs";

/**
 * With a sixth of the processor: coarser. In the midst of it nothing for `job.stopMs`, so that frames are lost: that is told
 * and drawn, and the page is at now again while it is slow. Then fine again.
 */
export async function throttled(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  await until(page, "all of the quality", (seen) => seen.status.quality === 0 && seen.coarse === 1, 60);
  const { before, age, usual } = await pace(page);
  // The browser's own throttle holds the page's thread alone, and not its worker: the whole process gets a sixth.
  const slow = aSixth(await renderers(browser));
  let [coarse, held, liveMs] = [];
  try {
    coarse = await until(page, "a coarser picture", (seen) => seen.status.quality > 0 || seen.coarse > 1, 60);
    held = await slow.hold(job.stopMs);
    liveMs = await nowAgain(page, age, usual);
  } finally {
    await slow.end();
  }
  // Before what was lost is longer ago than the page remembers; of what came before only the last second is looked at.
  const drawn = await drawnSince(page, Math.max(before.end[0], coarse.end[0] - 1));
  await page.keyboard.press("Home");
  const again = await until(page, "the quality again",
    (seen) => seen.back === null && seen.status.quality === 0 && seen.coarse === 1, 60);
  const ringS = (ms) => ms / 1000 - job.beganS;
  const answer = {
    coarse: { fft: coarse.status.fft, hop: coarse.status.hop, scale: coarse.coarse, quality: coarse.status.quality },
    again: { fft: again.status.fft, hop: again.status.hop }, before: account(before),
    // What was on its way to a slow page when it was stopped may be lost, too.
    stoppedMs: held.to - held.from, liveMs, awayS: [Math.min(ringS(held.from), coarse.end[0]), ringS(held.to + liveMs)],
    ...drawn, faults, violations: await violations(page),
  };
  await context.close();
  return answer;
}

/** Of every transform that can be wished: those that are computed for it, step by step. */
export async function steps() {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({ entryPoints: ["src/worker/quality.ts"], bundle: true, format: "esm", write: false });
  const { Quality } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
  const quality = new Quality();
  const all = [];
  for (quality.step = 0; quality.step < 5; quality.step++) {
    for (const fft of [512, 1024, 2048, 4096, 8192]) {
      for (const divisor of [1, 2, 4, 8, 16]) all.push({ fft, hop: fft / divisor, step: quality.step, computed: quality.transform(fft, fft / divisor) });
    }
  }
  return all;
}
