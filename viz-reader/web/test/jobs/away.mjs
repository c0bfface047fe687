// A page, a tab or a server that is away for a while: what passed meanwhile is told, and drawn in its place.
import { account, figures, full, inBackground, open, pace, set, until, violations } from "../page.mjs";
import { clicksIn, still, stretch } from "../pixels.mjs";
import { anonymousMb, goOn, renderers, stop } from "../processes.mjs";

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Stops processes for so long, and lets them go on: when, in milliseconds since 1970. */
export async function hold(pids, ms) {
  stop(pids);
  const from = Date.now();
  try {
    await pause(ms);
  } finally {
    goOn(pids);
  }
  return { from, to: Date.now() };
}

/** Waits until the newest sound is seen as soon as usual: how long that takes, in milliseconds. */
export async function nowAgain(page, age, usual) {
  const begin = Date.now();
  await until(page, "the sound of now", (seen) => seen.settled && age(seen) < usual + 0.3, 60);
  return Date.now() - begin;
}

/**
 * How the time since then is drawn, in a picture that stands still: stretches that are lost and those without anything, in
 * seconds of the ring, by the first lane (it has noise); and of the last lane the clicks.
 */
export async function drawnSince(page, fromS) {
  // Slowly enough that all of it is seen.
  await set(page, "speed", 30);
  await until(page, "another speed", (seen) => seen.settled && Math.abs(seen.secondsPerPixel - 1 / 30) < 1e-9);
  await page.keyboard.press(" ");
  await until(page, "a pause", (seen) => seen.back === 0 && seen.settled);
  const seen = await still(page);
  const { image, now, columnS } = seen;
  const last = now.places.length - 1;
  const endS = now.end[last];
  const columns = await clicksIn(page, image, now.places[last].wave);
  const clicks = columns.map((x) => endS - (image.width - x - 0.5) * columnS).filter((atS) => atS > fromS);
  const drawn = await stretch(page, seen, fromS);
  return { after: account(now), skipped: now.status.skipped, columnS, fromS, endS, clicks, ...drawn };
}

/** How each of them goes away for `job.stopMs`. `server` is the server's process, `pages` are the renderers. */
const WAYS = {
  page: ({ pages }, ms) => hold(pages, ms),
  server: ({ server }, ms) => hold([server], ms),
  frozen: async ({ page, context }, ms) => {
    const devtools = await context.newCDPSession(page);
    await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
    const from = Date.now();
    await pause(ms);
    await devtools.send("Page.setWebLifecycleState", { state: "active" });
    return { from, to: Date.now() };
  },
  // Another tab lies before it; for a part of that time the server stands still, and what is lost is lost unseen.
  hidden: async ({ page, context, server }, ms, lostMs) => {
    const other = await context.newPage();
    await page.waitForFunction(() => document.visibilityState === "hidden", null, { polling: 50 });
    const from = Date.now();
    const { draws } = await figures(page);
    await hold([server], lostMs);
    await pause(Math.max(0, ms - lostMs));
    const drawn = (await figures(page)).draws - draws;
    await page.bringToFront();
    await page.waitForFunction(() => document.visibilityState === "visible");
    await other.close();
    return { from, to: Date.now(), drawn };
  },
};

/**
 * `job.way` goes away for so long that not all that passes meanwhile can be kept, and comes back. What the page is told by
 * then, what is drawn, and how long it takes to be at now again. `job.beganS` is when the ring began, in seconds since 1970.
 */
export async function away(browser, job) {
  const background = job.way === "hidden" ? await inBackground() : null;
  const { page, context, faults } = await open(browser, job, { context: background });
  await until(page, "a picture", full(job.lanes));
  const { before, age, usual } = await pace(page);
  const pages = await renderers(browser);
  const memoryBefore = anonymousMb(pages);
  const { from, to, drawn = null } = await WAYS[job.way]({ page, context, pages, server: job.server }, job.stopMs, job.lostMs);
  const liveMs = await nowAgain(page, age, usual);
  const { quality, ...rest } = (await figures(page)).status;
  const grownMb = anonymousMb(await renderers(browser)) - memoryBefore;
  const ringS = (ms) => ms / 1000 - job.beganS;
  const answer = {
    before: account(before), stoppedMs: to - from, liveMs, grownMb, drawn, quality, fft: rest.fft,
    awayS: [Math.min(ringS(from), before.end[0]), ringS(to + liveMs)], ...(await drawnSince(page, before.end[0])), faults,
    violations: await violations(page),
  };
  await context.close();
  return answer;
}
