// Controls, used one after the other.
import { figures, full, letGo, longEnough, open, set, until, violations } from "../page.mjs";
import { LOOKED_AT, oneColumn } from "../pixels.mjs";

/** Where in the history is pointed, in parts of it: where nothing holds the picture's edges. */
const SCRUBBED = 0.35;

/** Each control does what it says. */
export async function controls(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  await until(page, "sound enough", (now) => now.end[0] > 1280 * (1 - LOOKED_AT) * now.secondsPerPixel + 1, 60);
  const seen = {};
  const status = (what, fits) => until(page, what, (now) => now.settled && now.status && fits(now));
  await page.click("#open-settings");
  seen.panel = await page.isVisible("#settings");
  for (const fft of [512, 8192, 2048]) {
    await set(page, "fft", fft);
    await status(`transforms of ${fft}`, (now) => now.status.quality > 0 || now.status.fft === fft);
  }
  await set(page, "hop", 300);
  await status("a hop of 300", (now) => now.status.quality > 0 || now.status.hop === 300);
  await set(page, "hop", "");
  // A column of the picture, at 120 pixels a second.
  await status("the hop that suits", (now) => now.status.quality > 0 || now.status.hop === 400);
  seen.palettes = [];
  for (const colours of [0, 1, 2, 3, 4]) {
    await set(page, "colours", colours);
    await status("colours", (now) => now.settings.colours === colours);
    const { part, first } = await oneColumn(page);
    seen.palettes.push({ part, first });
  }
  await set(page, "colours", 2);
  // Where the 440 Hz of the first lane is: from the bottom, in parts of the height.
  seen.rows = [];
  for (const scale of [0, 1, 2]) {
    await set(page, "scale", scale);
    await status("a scale", (now) => now.settings.scale === scale);
    const { column } = await oneColumn(page);
    const light = column.reverse().map((one) => one.reduce((a, b) => a + b));
    seen.rows.push((light.indexOf(Math.max(...light)) + 0.5) / light.length);
  }
  await set(page, "scale", 1);
  const light = async (lowDb) => {
    await set(page, "lowDb", lowDb);
    await status("a floor", (now) => now.settings.lowDb === lowDb);
    const { column } = await oneColumn(page);
    return column.flat().reduce((a, b) => a + b) / column.length / 3;
  };
  seen.lightLow = await light(-130);
  seen.lightHigh = await light(-40);
  await set(page, "lowDb", -100);
  await set(page, "show", "wave");
  seen.waveOnly = (await status("waves alone", (now) => now.places[0].colours.height === 0)).places[0];
  await set(page, "show", "spectrogram");
  seen.spectrogramOnly = (await status("spectrograms alone", (now) => now.places[0].wave.height === 0)).places[0];
  await set(page, "show", "both");
  await set(page, "speed", 240);
  await status("another speed", (now) => Math.abs(now.secondsPerPixel - 1 / 240) < 1e-9);
  await set(page, "speed", 120);
  await set(page, "labels", false);
  await page.waitForFunction(() => document.querySelectorAll("#tones span").length === 0);
  await set(page, "labels", true);
  await page.waitForFunction(() => document.querySelectorAll("#tones span").length > 0);
  await page.click("#channels [data-channel$=' 1']");
  await status("a lane less", (now) => now.lanes.length === job.lanes - 1 && now.names.every((lane) => lane.channel !== 1));
  await page.click("#channels [data-channel$=' 1']");
  await status("the lane again", full(job.lanes));
  await page.focus("#settings [name=hop]");
  await page.keyboard.press("Escape");
  seen.closed = !(await page.isVisible("#settings"));
  seen.focus = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press("d");
  seen.theme = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.keyboard.press("d");

  // Moving in time: a tenth of the picture, 120 pixels, and to what is seen of the history's beginning.
  await longEnough(page, 4);
  await page.click("#pause");
  const paused = await status("a pause", (now) => now.back === 0);
  await page.waitForTimeout(400);
  const later = await figures(page);
  seen.still = { end: later.end[0] - paused.end[0], draws: later.draws - paused.draws };
  await page.locator("#stage").focus();
  await page.keyboard.press("ArrowLeft");
  seen.arrow = (await status("an earlier place", (now) => now.back > 0)).back;
  const before = await figures(page);
  await page.mouse.move(400, 300);
  await page.mouse.down();
  await page.mouse.move(520, 300, { steps: 4 });
  await page.mouse.up();
  await letGo(page);
  seen.dragged = (await status("a drag", (now) => now.back > before.back)).back - before.back;
  seen.dragExpected = 120 * before.secondsPerPixel;
  const wide = (await figures(page)).secondsPerPixel;
  await page.keyboard.press("+");
  seen.zoomed = (await status("a zoom", (now) => now.secondsPerPixel < wide)).secondsPerPixel / wide;
  await page.mouse.move(600, 300);
  await page.mouse.wheel(0, -2000);
  seen.deep = (await status("a deep zoom", (now) => now.secondsPerPixel < wide * 0.7 * 0.8)).secondsPerPixel;
  await page.mouse.move(640, 300);
  await page.waitForFunction(() => document.querySelector("#cursor span").textContent.includes(":"));
  seen.cursor = await page.textContent("#cursor span");
  // The history is told once a second: it is drawn up to now.
  await page.waitForFunction(() => {
    const [clock] = Object.values(globalThis.tympan.figures().status.clocks);
    return Number(document.getElementById("overview").ariaValueMax) > clock.newest - 2;
  });
  const box = await page.locator("#overview").boundingBox();
  await page.mouse.click(box.x + box.width * SCRUBBED, box.y + box.height / 2);
  const scrubbed = await figures(page);
  seen.scrubbed = scrubbed.back;
  // This place of the history comes to the middle of the picture.
  const { oldest, newest } = Object.values(scrubbed.status.clocks)[0];
  seen.scrubExpected = paused.end[0] - (oldest + (newest - oldest) * SCRUBBED) - (scrubbed.secondsPerPixel * (await page.evaluate(() => document.getElementById("stage").clientWidth))) / 2;
  const [save] = await Promise.all([page.waitForEvent("download"), page.click("#png")]);
  await save.saveAs(job.png);
  // Another speed is for when it goes on.
  const stood = (await figures(page)).secondsPerPixel;
  await set(page, "speed", 60);
  seen.stoodStill = (await status("still", (now) => now.back !== null)).secondsPerPixel === stood;
  await page.keyboard.press("Home");
  await status("now", (now) => now.back === null && Math.abs(now.secondsPerPixel - 1 / 60) < 1e-9);
  await set(page, "speed", 120);
  await status("the speed", (now) => Math.abs(now.secondsPerPixel - 1 / 120) < 1e-9);
  seen.live = await page.isDisabled("#live");

  // What was set is kept.
  await page.keyboard.press("c");
  await page.reload();
  seen.kept = (await until(page, "a picture again", full(job.lanes))).settings.colours;
  await page.click("#open-settings");
  await page.click("#reset");
  seen.reset = (await figures(page)).settings.colours;
  seen.faults = faults;
  seen.violations = await violations(page);
  await context.close();
  return seen;
}
