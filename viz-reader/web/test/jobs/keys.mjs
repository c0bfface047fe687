// Keys, as the panel lists them; and whose they are.
import { figures, full, longEnough, open, until, violations } from "../page.mjs";
import { LOOKED_AT, oneColumn } from "../pixels.mjs";

const theme = (page) => page.evaluate(() => document.documentElement.dataset.theme);
const width = (page) => page.evaluate(() => document.getElementById("stage").clientWidth);

/** What each key of the page does, one after the other. */
export async function keys(browser, job) {
  const { page, context, faults } = await open(browser, job, { viewport: { width: 800, height: 600 } });
  await until(page, "a picture", full(job.lanes));
  await until(page, "sound enough", (now) => now.end[0] > 800 * (1 - LOOKED_AT) * now.secondsPerPixel + 1, 60);
  const press = (...all) => all.reduce((last, key) => last.then(() => page.keyboard.press(key)), Promise.resolve());
  const settled = () => until(page, "another picture", (now) => now.settled);
  const seen = { themes: [], scales: [], colours: [], ffts: [], panel: [], paused: [], live: [] };

  // As the panel names them, and as they are without a shift key.
  for (const key of ["F", "f", "f"]) {
    await press(key);
    const { settings } = await settled();
    const { column } = await oneColumn(page);
    const light = column.reverse().map((one) => one.reduce((a, b) => a + b));
    seen.scales.push({ scale: settings.scale, row: (light.indexOf(Math.max(...light)) + 0.5) / light.length });
  }
  for (const key of ["C", "c", "c", "c", "c"]) {
    await press(key);
    const { settings } = await settled();
    const { part, first } = await oneColumn(page);
    seen.colours.push({ map: settings.colours, part, first });
  }
  for (const key of ["]", "]", "]", "[", "[", "[", "[", "["]) {
    await press(key);
    const { settings } = await until(page, "another transform", (now) => now.settled && (now.status.quality > 0 || now.status.fft === now.settings.fft));
    seen.ffts.push(settings.fft);
  }
  for (const key of ["D", "d"]) {
    await press(key);
    seen.themes.push(await theme(page));
  }
  for (const key of [",", ",", ",", "Escape", "Escape"]) {
    await press(key);
    seen.panel.push(await page.isVisible("#settings"));
  }
  const [save] = await Promise.all([page.waitForEvent("download"), press("s")]);
  seen.saved = save.suggestedFilename();
  for (const way of [[" ", " "], [" ", "Home"], [" ", "End"]]) {
    await press(way[0]);
    seen.paused.push((await settled()).back);
    await press(way[1]);
    seen.live.push((await settled()).back);
  }
  // With others they are the browser's, and the space of a button is the button's.
  await press("Control+c", "Alt+d", "Meta+f");
  const { settings } = await figures(page);
  seen.others = [settings.colours, settings.theme, settings.scale];
  await page.focus("#theme");
  await press(" ");
  seen.button = [await theme(page), (await figures(page)).back];
  await press("d");

  // Moving in time, by tenths of the picture; and zooming around its middle.
  await page.locator("#stage").focus();
  await longEnough(page, 2);
  const wide = await width(page);
  seen.moved = [];
  for (const key of ["ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowLeft"]) {
    await press(key);
    const { back, secondsPerPixel } = await settled();
    seen.moved.push(back / secondsPerPixel / wide);
  }
  seen.zoomed = [];
  for (const key of ["+", "=", "-", "-"]) {
    const before = await figures(page);
    await press(key);
    const now = await settled();
    const middle = (one) => one.back + (wide / 2) * one.secondsPerPixel;
    seen.zoomed.push({ factor: now.secondsPerPixel / before.secondsPerPixel, moved: (middle(now) - middle(before)) / before.secondsPerPixel });
  }
  const answer = { ...seen, faults, violations: await violations(page) };
  await context.close();
  return answer;
}

/** Keys in a field are the field's, whatever they do elsewhere. */
export async function fields(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  let downloads = 0;
  page.on("download", () => downloads++);
  await page.click("#pause");
  await until(page, "a pause", (seen) => seen.back === 0 && seen.settled);
  await page.click("#open-settings");
  const look = async () => {
    const { back, secondsPerPixel, settings } = await figures(page);
    return { back, secondsPerPixel, settings, theme: await theme(page), panel: await page.isVisible("#settings"), downloads };
  };
  const seen = { before: await look() };
  const value = (name) => page.inputValue(`#settings [name=${name}]`);
  const typed = async (name, keys) => {
    await page.focus(`#settings [name=${name}]`);
    for (const key of keys) await page.keyboard.press(key);
    return { ...(await look()), value: await value(name) };
  };
  seen.number = await typed("hop", ["5", " ", "d", "D", "c", "f", "s", "1", "[", "]", "2", "Home", "End", "ArrowLeft", "ArrowRight"]);
  // A flat top by its first letter.
  seen.choice = await typed("window", ["f", "d"]);
  seen.slider = await typed("gainDb", ["ArrowRight", "ArrowRight", "ArrowLeft", "d", "c", "f", "s", "[", "]"]);
  seen.check = await typed("labels", [" ", "d", "c", "f", "s", "[", "]"]);
  await page.keyboard.press("Escape");
  seen.after = await look();
  const answer = { ...seen, faults, violations: await violations(page) };
  await context.close();
  return answer;
}
