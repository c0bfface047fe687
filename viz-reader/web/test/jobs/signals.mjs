// Known signals, seen.
import { figures, full, open, until, violations } from "../page.mjs";
import { clicksIn, colourMap, LOOKED_AT, rgb, still } from "../pixels.mjs";

/** Known signals are where they must be, in numbers and in pixels. Channels: 440 Hz, a chirp, clicks, 1 kHz and its opposite. */
export async function signals(browser, job) {
  const answers = [];
  for (const query of ["", "?shared=no", "?draw=webgl"]) {
    const { page, context, faults } = await open(browser, job, { query });
    const sound = (seen) => full(5)(seen) && seen.status.tones[0]?.length > 0 && seen.status.meters[0]?.peak > 0 && seen.status.pairs.length > 0;
    const first = await until(page, "known signals", sound);
    // What is judged is 0.85 of the way to the right, and a second of it came live.
    await until(page, "sound enough", (seen) => seen.end.every((end, lane) => end > Math.max(first.end[lane] + 1, 3)));
    // The tones of a status are up to 120 ms older than what it says of the transform.
    let seen = await figures(page);
    for (let last = null; last !== seen.status.fft; seen = await figures(page)) {
      last = seen.status.fft;
      await page.waitForTimeout(300);
    }
    await page.keyboard.press(" ");
    await until(page, "a pause", (now) => now.back === 0 && now.settled);
    const { image, now, columnS } = await still(page);
    const map = await colourMap(page);
    // The ring may be younger than the picture is wide.
    const column = Math.floor(image.width * LOOKED_AT);
    const lanes = await Promise.all(now.places.map(async ({ wave, colours }) => {
      // From the bottom up: the brightest of the map's colours.
      let [brightest, index] = [0, -1];
      let unknown = 0;
      for (let row = 0; row < colours.height; row++) {
        const [r, g, b] = rgb(image, column, colours.top + colours.height - 1 - row);
        const at = map.findIndex((_, place) => place % 4 === 0 && map[place] === r && map[place + 1] === g && map[place + 2] === b) / 4;
        if (at < 0) unknown += 1;
        else if (at > index) [brightest, index] = [row, at];
      }
      return { brightest, level: index, unknown, rows: colours.height, clicks: await clicksIn(page, image, wave) };
    }));
    answers.push({ query, faults, violations: await violations(page), lanes, end: now.end, columnS,
      width: image.width, ffts: [seen.status.fft, now.status.fft], kind: seen.kind, shared: seen.shared, tones: seen.status.tones, meters: seen.status.meters,
      pairs: seen.status.pairs, lost: seen.status.lost, gaps: seen.status.gaps, settings: seen.settings });
    await context.close();
  }
  return answers;
}
