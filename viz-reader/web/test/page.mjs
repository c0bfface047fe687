// A page under test: what it says on its console, where it asks, and what it shows.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

/**
 * Opens the page, in a context of its own or the one that is given. `files`: a folder whose files take the places of those in
 * the program, while one works on them. `before` is called in the page before its scripts run.
 */
export async function open(browser, job, options = {}) {
  const context = options.context ?? (await browser.newContext({
    viewport: options.viewport ?? { width: 1280, height: 800 },
    colorScheme: options.theme ?? "dark",
    deviceScaleFactor: options.scale ?? 1,
    hasTouch: options.touch ?? false,
    acceptDownloads: true,
  }));
  const page = await context.newPage();
  const faults = (page.faults = []);
  page.on("console", (message) => {
    // WebGL in software reads its pictures back, and the driver says that this is slow: no fault of the page's.
    const slow = message.text().includes("GL Driver Message (OpenGL, Performance");
    if (["error", "warning"].includes(message.type()) && !slow) faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    const { host, protocol } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && host !== new URL(job.url).host) faults.push(`asks outside: ${request.url()}`);
  });
  if (job.files) {
    await page.route(/\/(page\.js|page\.css|icon\.svg)?(\?.*)?$/, async (route) => {
      const answer = await route.fetch();
      const name = new URL(route.request().url()).pathname.slice(1) || "index.html";
      await route.fulfill({ response: answer, body: readFileSync(join(job.files, name)) });
    });
  }
  // A policy that was broken is reported here, console or not.
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
  });
  if (options.before) await page.addInitScript(options.before);
  const address = new URL(job.url);
  address.search = options.query ?? "";
  await page.goto(address.href);
  return { context, page, faults };
}

/**
 * A context whose pages may lie behind others: elsewhere all of them are told that they are seen. For a browser that a job
 * with `background` had started.
 */
export async function inBackground() {
  const folder = process.env.TMPDIR;
  const find = () => readdirSync(folder).map((name) => join(folder, name, "DevToolsActivePort")).find(existsSync);
  const begin = Date.now();
  while (!find()) {
    if (Date.now() - begin > 30_000) throw new Error("the browser tells no port: not within 30 s");
    await new Promise((done) => setTimeout(done, 50));
  }
  const port = readFileSync(find(), "utf8").split("\n")[0];
  return (await chromium.connectOverCDP(`http://127.0.0.1:${port}`, { noDefaults: true })).contexts()[0];
}

/** What the page says of itself. */
export const figures = (page) => page.evaluate(() => globalThis.tympan.figures());

/** Waits until the page's own figures are so; ten times as long as it should take. */
export async function until(page, what, fits, seconds = 30) {
  const begin = Date.now();
  let last;
  for (;;) {
    last = await figures(page).catch(() => null);
    if (last && fits(last)) return last;
    if (Date.now() - begin > seconds * 1000) {
      const { status, ...rest } = last ?? {};
      throw new Error(`${what}: not within ${seconds} s; ${(page.faults ?? []).join("; ")} ${JSON.stringify({ ...rest, status }).slice(0, 1500)}`);
    }
    await page.waitForTimeout(50);
  }
}

export const shown = (seen) => seen.lanes.length > 0 && seen.settled && seen.draws > 20;
/** The picture is full: what was there before the page was opened has come too. */
export const full = (lanes) => (seen) => shown(seen) && seen.lanes.length === lanes && seen.lanes.every((lane) => lane.state === "live");
/** Seconds from the oldest sound that the first lane's ring has to the newest. */
const historyS = ({ lanes, status }) => {
  const clock = status?.clocks[lanes[0]?.clock];
  return clock ? clock.newest - clock.oldest : 0;
};
/** Waits until the picture may be moved back by so many seconds: it goes no further than the oldest sound is in its middle. */
export async function longEnough(page, seconds) {
  const width = await page.evaluate(() => document.getElementById("stage").clientWidth);
  return until(page, "a long history", (seen) => seen.settled && historyS(seen) > seconds + (width * seen.secondsPerPixel) / 2);
}
/** All movements of mouse or fingers on the picture have arrived. */
export const letGo = (page) => page.waitForFunction(() => !document.getElementById("stage").classList.contains("dragging"));
export const violations = (page) => page.evaluate(() => globalThis.violations);
/** The next frame of the page is drawn, and what stands beside the picture is in its place. */
export const nextFrame = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
/** Sets a field of the settings' panel. */
export const set = (page, name, value) =>
  page.locator(`#settings [name=${name}]`).evaluate((field, value) => {
    if (field.type === "checkbox") field.checked = value;
    else field.value = String(value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);

/**
 * What the page was told by now: all numbers of one status, as they are told together. Frames that came, frames that are told
 * as lost or never captured, and one past the newest of them.
 */
export const account = ({ status, lanes }) => {
  const { newest } = status.clocks[lanes[0].clock];
  return { newest: Math.round(newest * lanes[0].rateHz), came: status.received.samples / lanes.length, lost: status.lost, gaps: status.gaps };
};

/** How old the newest frame of a picture is in the best of a second, but for when the ring began; and what was told by then. */
export async function pace(page) {
  const age = (seen) => Date.now() / 1000 - seen.end[0];
  const begin = Date.now();
  let usual = Infinity;
  const before = await until(page, "a look at its pace", (seen) => {
    usual = Math.min(usual, age(seen));
    return Date.now() - begin > 1000;
  });
  return { before, age, usual };
}
