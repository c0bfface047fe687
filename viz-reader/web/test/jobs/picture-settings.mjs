// What the fields of the panel do to the picture.
import { full, open, set, until, violations } from "../page.mjs";
import { glance, LOOKED_AT, rgb, waveIn } from "../pixels.mjs";

/** The last of the colour maps: its entries are greys, each its own place in the map. */
const GREY = 4;

/** A picture of one lane that stands still, old enough that all of it on the right is sound. */
async function pausedPicture(browser, job) {
  const opened = await open(browser, job, { viewport: { width: 640, height: 900 } });
  const { page } = opened;
  await until(page, "a picture", full(1));
  await until(page, "sound enough", (seen) => seen.end[0] > 640 * (1 - LOOKED_AT) * seen.secondsPerPixel + 1, 60);
  await page.keyboard.press(" ");
  await until(page, "a pause", (seen) => seen.back === 0 && seen.settled);
  return opened;
}

/** Waits until something is found in the picture; null: not yet. */
async function find(page, what, look) {
  const begin = Date.now();
  for (;;) {
    const found = await look(await glance(page));
    if (found !== null) return found;
    if (Date.now() - begin > 30_000) throw new Error(`${what}: not within 30 s`);
    await page.waitForTimeout(50);
  }
}

/** A column of the spectrogram from below, as places in the map of greys; null while there is none. */
function greys({ image, now }) {
  const { top, height } = now.places[0].colours;
  const { baseFrame, width } = now.lanes[0];
  const x = Math.floor(image.width * LOOKED_AT);
  const column = Array.from({ length: height }, (_, row) => rgb(image, x, top + height - 1 - row));
  const painted = column.every(([r, g, b]) => r === g && g === b);
  return painted ? { from: baseFrame + x * width, to: baseFrame + (x + 1) * width, column: column.map(([r]) => r) } : null;
}

/** A column of the spectrogram with each of `job.looks`, computed as finely as is wished, and what the sliders say of it. */
export async function spectra(browser, job) {
  const { page, context, faults } = await pausedPicture(browser, job);
  await set(page, "colours", GREY);
  const finest = ({ status, coarse }) => status.quality === 0 && coarse === 1;
  const asWished = (seen) => finest(seen) && seen.settled && seen.status.fft === seen.settings.fft && seen.status.hop === seen.settings.hop;
  const columns = [];
  for (const look of job.looks) {
    for (let [turn, found] = [0, null]; found === null; turn++) {
      if (turn === 10) throw new Error("never as fine as it can be");
      // A picture that is begun while there is less of it stays coarser.
      await until(page, "all of the quality", finest, 60);
      await Promise.all(Object.entries(look).map(([name, value]) => set(page, name, value)));
      await until(page, "what is wished", asWished, 60);
      found = await find(page, "a column", (seen) => (asWished(seen.now) ? greys(seen) : false)) || null;
      if (found) columns.push({ ...found, said: await page.locator("#settings output").allTextContents() });
    }
  }
  const answer = { columns, faults, violations: await violations(page) };
  await context.close();
  return answer;
}

/** How high the wave stands with each gain, in rows, and what the slider says. */
export async function waveHeights(browser, job) {
  const { page, context, faults } = await pausedPicture(browser, job);
  await set(page, "show", "wave");
  await until(page, "waves alone", (seen) => seen.settled && seen.places[0].colours.height === 0);
  const heights = [];
  for (const gainDb of job.gains) {
    await set(page, "gainDb", gainDb);
    const found = await find(page, "a wave", async ({ image, now }) => {
      const { wave } = now.places[0];
      const { above, below } = await waveIn(page, image, wave, Math.floor(image.width * LOOKED_AT));
      return Number.isFinite(above) ? { rows: above + below + 1, strip: wave.height } : null;
    });
    const said = await page.locator("label:has([name=gainDb]) output").textContent();
    heights.push({ gainDb, ...found, said });
  }
  const answer = { heights, faults, violations: await violations(page) };
  await context.close();
  return answer;
}
