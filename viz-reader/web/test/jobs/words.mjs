// Words and their sound.
import { figures, full, nextFrame, open, until, violations } from "../page.mjs";
import { drawnAt } from "../pixels.mjs";

/** Words under their sound; one is pressed. */
export async function words(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "words", (seen) => full(job.lanes)(seen) && (job.press ? seen.words.length === job.words : seen.words.length >= job.words), job.waitS ?? 30);
  await nextFrame(page);
  const spoken = await page.textContent("#spoken");
  const partials = (await figures(page)).partials;
  const place = await page.evaluate(async () => {
    // Right after a frame: words are moved in it, and the picture goes on.
    await new Promise(requestAnimationFrame);
    const { end, secondsPerPixel, words } = globalThis.tympan.figures();
    const width = document.getElementById("stage").clientWidth;
    return [...document.querySelectorAll("#words button:not([hidden])")].map((button) => ({
      text: button.textContent, x: button.getBoundingClientRect().left, wide: button.offsetWidth,
      right: width - (end[0] - words.find((word) => word.text === button.textContent).startSeconds) / secondsPerPixel,
    }));
  });
  // Of real ones the newest.
  const { words: shownWords } = await figures(page);
  const named = page.locator(job.press ? `#words button:text-is("${job.press}")` : "#words button:not([hidden])");
  // What is not here yet is not heard.
  await drawnAt(page, shownWords.findLast((word) => word.text === (job.press ?? word.text)).startSeconds);
  // It moves with every frame, until it is hit.
  for (let turn = 0; turn < 20 && (await figures(page)).back === null; turn++) await named.last().click({ force: true });
  const heard = await until(page, "the word's sound", (seen) => seen.heard.length > 0);
  await until(page, "the word's picture", (seen) => seen.back !== null && seen.settled);
  await nextFrame(page);
  const selection = await page.locator("#selection").boundingBox();
  const now = await figures(page);
  const right = await page.evaluate(() => document.getElementById("stage").getBoundingClientRect().right);
  const selectedS = now.end[0] - (right - selection.x) * now.secondsPerPixel;
  const selected = { atS: selectedS, lengthS: selection.width * now.secondsPerPixel };
  const answer = { faults, violations: await violations(page), spoken, partials, place, heard: heard.heard[0][1], words: shownWords, selected, back: heard.back, selection, width: await page.evaluate(() => document.getElementById("stage").clientWidth) };
  await context.close();
  return answer;
}
