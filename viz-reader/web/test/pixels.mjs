// What the picture looks like: its pixels, with the figures of the same moment.

/**
 * The picture's pixels and the page's figures of one moment: how finely is drawn may change at any time. Waits until what was
 * asked for last is what is seen. `columnS`: seconds of one of its columns.
 */
export async function glance(page) {
  const begin = Date.now();
  for (;;) {
    const seen = await page.evaluate(() => {
      const now = globalThis.tympan.figures();
      if (!now.settled) return null;
      const source = document.getElementById("picture");
      const copy = new OffscreenCanvas(source.width, source.height);
      const context = copy.getContext("2d");
      context.drawImage(source, 0, 0);
      const { data } = context.getImageData(0, 0, source.width, source.height);
      const columnS = (now.secondsPerPixel * document.getElementById("stage").clientWidth) / source.width;
      return { image: { width: source.width, height: source.height, data }, now, columnS };
    });
    if (seen) return seen;
    if (Date.now() - begin > 30_000) throw new Error("a picture that is settled: not within 30 s");
    await page.waitForTimeout(50);
  }
}
export const rgb = ({ width, data }, x, y) => [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 3)];
/** A picture that stands still, once all of it is there: three looks in a row see the same. */
export async function still(page) {
  const begin = Date.now();
  let [last, same] = [await glance(page), 0];
  while (same < 2) {
    if (Date.now() - begin > 30_000) throw new Error("a still picture: not within 30 s");
    await page.waitForTimeout(250);
    const next = await glance(page);
    same = next.image.width === last.image.width && Buffer.from(next.image.data).equals(Buffer.from(last.image.data)) ? same + 1 : 0;
    last = next;
  }
  return last;
}

/** The colours of the map that is chosen. */
export const colourMap = (page) => page.evaluate(() => [...new Uint8Array(globalThis.tympan.colourMap().buffer)]);
/** Where on the picture's way to the right is looked: there is sound soon after a ring began. */
export const LOOKED_AT = 0.85;
/** A column of the first lane's spectrogram, from the top, once all of its pixels are colours of the map. */
export async function oneColumn(page) {
  const begin = Date.now();
  const map = await colourMap(page);
  const colours = new Set(Array.from({ length: 256 }, (_, index) => map.slice(index * 4, index * 4 + 3).join()));
  for (;;) {
    const { image, now } = await glance(page);
    const { top, height } = now.places[0].colours;
    const column = Array.from({ length: height }, (_, row) => rgb(image, Math.floor(image.width * LOOKED_AT), top + row));
    const inside = column.filter((one) => colours.has(one.join())).length;
    if (inside === height || Date.now() - begin > 30_000) return { column, part: inside / height, first: map.slice(0, 3) };
    await page.waitForTimeout(100);
  }
}
/** A colour of the style sheet, as a pixel's three numbers joined. */
async function styled(page, name) {
  const colour = await page.evaluate((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim(), name);
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)).join();
}
/** The columns of a strip that are striped with a colour of the style sheet: what is missing is drawn so. */
export async function striped(page, image, { top, height }, name) {
  const wanted = await styled(page, name);
  const columns = [];
  for (let x = 0; x < image.width; x++) {
    let count = 0;
    for (let y = top; y < top + height; y++) count += rgb(image, x, y).join() === wanted ? 1 : 0;
    if (count > height / 4) columns.push(x);
  }
  return columns;
}
/** The row of a strip where a wave has this value. */
const rowOf = ({ top, height }, value) => Math.round(top + (height - 1) / 2 - value * ((height - 1) / 2));
/** How many rows above and below its middle the wave of a column reaches. */
export async function waveIn(page, image, { top, height }, x) {
  const drawn = [await styled(page, "--wave"), await styled(page, "--wave-soft")];
  const rows = Array.from({ length: height }, (_, row) => row).filter((row) => drawn.includes(rgb(image, x, top + row).join()));
  const middle = (height - 1) / 2;
  return { above: middle - rows[0], below: rows.at(-1) - middle };
}
/** Waits until the first lane's wave is drawn at a second of the ring, which the picture reaches to: its sound has come. */
export async function drawnAt(page, seconds) {
  const begin = Date.now();
  for (;;) {
    const { image, now, columnS } = await glance(page);
    const x = Math.floor(image.width - (now.end[0] - seconds) / columnS);
    if (x >= 0 && x < image.width && Number.isFinite((await waveIn(page, image, now.places[0].wave, x)).above)) return;
    if (Date.now() - begin > 30_000) throw new Error(`the sound of ${seconds} s: not within 30 s`);
    await page.waitForTimeout(50);
  }
}
/** The columns of a strip whose wave reaches 0.9. */
export async function clicksIn(page, image, wave) {
  const drawn = [await styled(page, "--wave"), await styled(page, "--wave-soft")];
  const y = rowOf(wave, 0.9);
  return Array.from({ length: image.width }, (_, x) => x).filter((x) => drawn.includes(rgb(image, x, y).join()));
}
/**
 * How the first lane, which has noise of 0.3, is drawn since a second of the ring: stretches that are striped as lost, and
 * those that have neither sound nor stripes; both as [from, to] in seconds of the ring.
 */
export async function stretch(page, { image, now, columnS }, fromS) {
  const { wave } = now.places[0];
  const secondsAt = (x) => now.end[0] - (image.width - x) * columnS;
  const lost = new Set(await striped(page, image, wave, "--bad"));
  const drawn = [await styled(page, "--wave"), await styled(page, "--wave-soft")];
  const y = rowOf(wave, 0.1);
  const kindOf = (x) => (lost.has(x) ? "lost" : drawn.includes(rgb(image, x, y).join()) ? "sound" : "blank");
  const kinds = Array.from({ length: image.width }, (_, x) => kindOf(x));
  const runs = { lost: [], blank: [] };
  for (let x = Math.max(0, Math.ceil(image.width - (now.end[0] - fromS) / columnS)); x < image.width; x++) {
    const of = runs[kinds[x]];
    if (!of) continue;
    if (x > 0 && kinds[x - 1] === kinds[x] && of.length > 0) of.at(-1)[1] = secondsAt(x + 1);
    else of.push([secondsAt(x), secondsAt(x + 1)]);
  }
  return runs;
}
