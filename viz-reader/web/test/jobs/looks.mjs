// Screenshots.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { figures, full, nextFrame, open, set, until, violations } from "../page.mjs";
import { still } from "../pixels.mjs";

/** Screenshots, for people. */
export async function look(browser, job) {
  const shots = [];
  for (const shot of job.shots) {
    const { page, context, faults } = await open(browser, job, shot);
    await until(page, "a picture", (seen) => seen.lanes.length > 0 && seen.settled && seen.draws > 20);
    await page.waitForTimeout(shot.waitMs ?? 2500);
    for (const key of shot.keys ?? []) {
      await page.keyboard.press(key);
      await page.waitForTimeout(600);
    }
    await page.screenshot({ path: shot.file });
    const { status, ...rest } = await figures(page);
    shots.push({ file: shot.file, faults, violations: await page.evaluate(() => globalThis.violations), fps: rest.framesPerSecond, p95: rest.latencyP95, p50: rest.latencyP50, kind: rest.kind, shared: rest.shared, status: { ...status, tones: status?.tones }, places: rest.places.slice(0, 2), coarse: rest.coarse });
    await context.close();
  }
  return shots;
}

/** Edge of the blocks whose mean colours are compared: within one, fonts and smoothed edges come to the same. */
const BLOCK = 16;

/** Mean and greatest difference of the blocks of two PNGs, from 0 to 255; null where their sizes differ. */
const difference = (page, one, other) =>
  page.evaluate(async ([one, other, block]) => {
    const decode = async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
      const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
      const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, image.width, image.height);
    };
    const [a, b] = [await decode(one), await decode(other)];
    if (a.width !== b.width || a.height !== b.height) return null;
    let [sum, count, most] = [0, 0, { by: 0, x: 0, y: 0 }];
    for (let top = 0; top < a.height; top += block) {
      for (let left = 0; left < a.width; left += block) {
        const [bottom, right] = [Math.min(a.height, top + block), Math.min(a.width, left + block)];
        const sums = [0, 0, 0];
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) for (let c = 0; c < 3; c++) sums[c] += a.data[(y * a.width + x) * 4 + c] - b.data[(y * a.width + x) * 4 + c];
        }
        const by = Math.max(...sums.map(Math.abs)) / ((bottom - top) * (right - left));
        sum += by;
        count += 1;
        if (by > most.by) most = { by, x: left, y: top };
      }
    }
    return { mean: sum / count, most };
  }, [one.toString("base64"), other.toString("base64"), BLOCK]);

/** The colour that a page is drawn on. */
const groundOf = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

/**
 * Screenshots of a ring that stands still, beside those that are kept in `job.references`; with `job.accept` they are kept
 * instead. What was seen lies in `job.seen` afterwards. The figures of the moment are covered.
 */
export async function references(browser, job) {
  const wide = { width: 960, height: 600 };
  const views = [
    { view: "dark" },
    { view: "wave", show: "wave" },
    { view: "spectrogram", show: "spectrogram" },
    { view: "light", theme: "light" },
    { view: "phone", viewport: { width: 375, height: 700 } },
    { view: "settings" },
  ];
  // Before the ring stands still: meters show what came while one looks.
  const { page, context, faults } = await open(browser, job, { viewport: wide });
  const early = await until(page, "a picture", full(job.lanes));
  if (early.end[0] > job.endS - 0.5) throw new Error(`the ring stood still before the page was open: ${early.end[0]} s`);
  // Light for who wishes it.
  const light = await open(browser, job, { theme: "light" });
  const grounds = { dark: await groundOf(page), light: await groundOf(light.page) };
  await light.context.close();
  if (grounds.dark === grounds.light) throw new Error(`light and dark are ${grounds.light}`);
  const plain = await browser.newPage();
  const answers = [];
  await until(page, "the end", (seen) => seen.lanes.length === job.lanes && seen.end.every((end) => Math.abs(end - job.endS) < 0.02), 60);
  await until(page, "all of the words", (seen) => seen.words.length === job.words);
  for (const { view, show = "both", theme = "dark", viewport = wide } of views) {
    if ((await groundOf(page)) !== grounds[theme]) await page.keyboard.press("d");
    if ((await groundOf(page)) !== grounds[theme]) throw new Error(`${view}: not ${theme}`);
    await page.setViewportSize(viewport);
    if (view === "settings") await page.click("#open-settings");
    // Made anew as finely as it can be; a busy machine may need more than one turn.
    for (let fine = false, turn = 0; !fine; turn++) {
      if (turn === 10) throw new Error(`${view}: never as fine as it can be`);
      await set(page, "show", show === "both" ? "wave" : "both");
      await until(page, "another view", (seen) => seen.settled);
      await until(page, "all of the quality", (seen) => seen.status.quality === 0 && seen.coarse === 1, 60);
      await set(page, "show", show);
      await until(page, "the view", (seen) => seen.settled && (show !== "wave" || seen.places[0].colours.height === 0));
      const { now } = await still(page);
      fine = now.status.quality === 0 && now.coarse === 1;
    }
    await nextFrame(page);
    const png = await page.screenshot({ mask: [page.locator("#figures")], maskColor: "#808080", animations: "disabled" });
    writeFileSync(`${job.seen}/${view}.png`, png);
    const reference = `${job.references}/${view}.png`;
    if (job.accept) writeFileSync(reference, png);
    answers.push({ view, difference: existsSync(reference) ? await difference(plain, readFileSync(reference), png) : null });
  }
  const violated = await violations(page);
  await context.close();
  return { views: answers, faults, violations: violated };
}
