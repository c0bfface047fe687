// What terminal, file and scipy are held against.
import { full, open, set, until, violations } from "../page.mjs";
import { LOOKED_AT, rgb, still, waveIn } from "../pixels.mjs";

/**
 * A picture that stands still, of transforms as they are wished: of the first lane a column of the spectrogram, from the
 * bottom, the height of the wave in the columns around it, and the numbers beside it.
 */
export async function agreement(browser, job) {
  const { page, context, faults } = await open(browser, job);
  const heard = (seen) => full(1)(seen) && seen.status.tones[0]?.length > 0 && seen.status.meters[0]?.peak > 0;
  await until(page, "a known sound", heard);
  await until(page, "sound enough", (seen) => seen.end[0] > 1280 * (1 - LOOKED_AT) * seen.secondsPerPixel + 1, 60);
  const fine = ({ status, coarse }) => status.quality === 0 && coarse === 1 && status.fft === job.fft;
  for (let turn = 0; ; turn++) {
    if (turn === 10) throw new Error("never as fine as it can be");
    // The tones of a status are up to 120 ms older than what it says of the transform.
    await until(page, "all of the quality", (seen) => seen.back === null && seen.settled && fine(seen), 60);
    await page.waitForTimeout(500);
    const labels = await page.locator("#tones span").allTextContents();
    await page.keyboard.press(" ");
    await until(page, "a pause", (seen) => seen.back === 0 && seen.settled);
    const { image, now } = await still(page);
    if (!fine(now)) {
      await page.keyboard.press("Home");
      continue;
    }
    const { wave, colours } = now.places[0];
    const x = Math.floor(image.width * LOOKED_AT);
    const column = Array.from({ length: colours.height }, (_, row) => rgb(image, x, colours.top + colours.height - 1 - row));
    const heights = await Promise.all([-2, -1, 0, 1, 2].map((by) => waveIn(page, image, wave, x + by)));
    const answer = { column, heights, half: (wave.height - 1) / 2, tones: now.status.tones[0], meter: now.status.meters[0],
      labels, faults, violations: await violations(page) };
    await context.close();
    return answer;
  }
}
