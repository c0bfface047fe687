// A page under test: what it says on its console, where it asks, and what it shows.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Opens the page. `files`: a folder whose files take the places of those in the program, while one works on them. */
export async function open(browser, job, options = {}) {
  const context = await browser.newContext({
    viewport: options.viewport ?? { width: 1280, height: 800 },
    colorScheme: options.theme ?? "dark",
    deviceScaleFactor: options.scale ?? 1,
    hasTouch: options.touch ?? false,
    acceptDownloads: true,
  });
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
  const address = new URL(job.url);
  address.search = options.query ?? "";
  await page.goto(address.href);
  return { context, page, faults };
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

/** The picture's pixels in a rectangle, as [r, g, b] rows. */
export const pixels = (page, x, y, width, height) =>
  page.evaluate(([x, y, width, height]) => {
    const source = document.getElementById("picture");
    const copy = new OffscreenCanvas(source.width, source.height);
    const context = copy.getContext("2d");
    context.drawImage(source, 0, 0);
    return [...context.getImageData(x, y, width, height).data];
  }, [x, y, width, height]);
