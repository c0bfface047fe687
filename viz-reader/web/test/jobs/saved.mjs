// The picture that is saved.
import { writeFileSync } from "node:fs";
import { figures, full, nextFrame, open, set, until, violations } from "../page.mjs";
import { glance, still } from "../pixels.mjs";

/** Small enough that a busy machine draws it as finely as it can be, with all of its pixels. */
const SIZE = { width: 800, height: 500 };

/**
 * Saves a PNG of a ring that stands still, and what it is held against: a screenshot of the same, and the picture's own
 * pixels. Told are the places of what is beside the picture, in pixels from the upper left corner of what is saved. `orders`
 * are written to a file that the test watches.
 */
export async function saved(browser, job) {
  const opened = [];
  for (const shot of job.shots) {
    const one = await open(browser, job, { viewport: SIZE, scale: shot.scale });
    await until(one.page, "a picture", full(job.lanes));
    // All since the ring began.
    await set(one.page, "speed", 60);
    opened.push({ ...shot, ...one });
  }
  // While somebody looks: a page that is opened later waits for sound.
  const newest = Math.max(...(await figures(opened[0].page)).end);
  const endS = Math.ceil(Math.max(newest, job.wordsS)) + 1;
  writeFileSync(job.orders, `until ${endS}\n`, { flag: "a" });
  const answers = [];
  for (const { scale, name, page, context, faults } of opened) {
    await page.bringToFront();
    await until(page, "the end", (seen) => full(job.lanes)(seen) && seen.words.length === job.words && seen.end.every((end) => Math.abs(end - endS) < 0.02), 60);
    await page.click("#pause");
    await page.mouse.move(0, 0);
    // All of the history is drawn.
    await page.waitForFunction((endS) => Number(document.getElementById("overview").ariaValueMax) > endS - 0.1, endS);
    // A busy machine may draw more coarsely in the midst of it.
    let image = null;
    for (let turn = 0; image === null; turn++) {
      if (turn === 10) throw new Error("the picture never stands still");
      await until(page, "a pause", (seen) => seen.back === 0 && seen.settled && seen.status.quality === 0 && seen.coarse === 1, 60);
      const before = await still(page);
      await nextFrame(page);
      const [save] = await Promise.all([page.waitForEvent("download"), page.click("#png")]);
      await save.saveAs(`${job.folder}/${name}.png`);
      await page.mouse.move(0, 0);
      await nextFrame(page);
      await page.locator("main").screenshot({ path: `${job.folder}/${name}-seen.png`, animations: "disabled" });
      const after = await glance(page);
      if (after.now.coarse === 1 && Buffer.from(after.image.data).equals(Buffer.from(before.image.data))) image = after.image;
    }
    writeFileSync(`${job.folder}/${name}.pixels`, Buffer.from(image.data));
    const places = await page.evaluate((scale) => {
      const frame = document.querySelector("main").getBoundingClientRect();
      const placeOf = (element) => {
        const { left, top, width, height } = element.getBoundingClientRect();
        return [left - frame.left, top - frame.top, left - frame.left + width, top - frame.top + height].map((edge) => Math.round(edge * scale));
      };
      const named = ["marks", "meters", "timeline", "words", "scrub"].map((id) => [id, placeOf(document.getElementById(id))]);
      const words = [...document.querySelectorAll("#words button:not([hidden]), #words .partial:not([hidden])")].map(placeOf);
      return { ...Object.fromEntries(named), eachWord: words };
    }, scale);
    answers.push({ name, width: image.width, height: image.height, places, faults, violations: await violations(page) });
    await context.close();
  }
  return answers;
}
