// What is played where a word is pressed: what the page gives to the browser, and that this sounds.
import { figures, full, open, set, until, violations } from "../page.mjs";
import { drawnAt } from "../pixels.mjs";

/**
 * Wraps what makes the browser play, in the page: each sound with its samples, when it was started and over, and whether
 * it was told to stop.
 */
function listenToSounds() {
  const sounds = (globalThis.sounds = []);
  const { start, stop } = AudioBufferSourceNode.prototype;
  const known = new Map();
  AudioBufferSourceNode.prototype.start = function (...when) {
    const { buffer, context } = this;
    const samples = Array.from({ length: buffer.numberOfChannels }, (_, channel) => [...buffer.getChannelData(channel)]);
    const sound = { samples, rateHz: buffer.sampleRate, when, stopped: false, over: false, state: () => context.state, startedAt: context.currentTime };
    this.addEventListener("ended", () => ((sound.over = true), (sound.overAt = context.currentTime)));
    known.set(this, sound);
    sounds.push(sound);
    return start.apply(this, when);
  };
  AudioBufferSourceNode.prototype.stop = function (...when) {
    known.get(this).stopped = true;
    return stop.apply(this, when);
  };
}

/** Two words are pressed one after the other, by mouse and by key; then both at once. All that the browser was told to play. */
export async function sounds(browser, job) {
  const { page, context, faults } = await open(browser, job, { before: listenToSounds });
  await until(page, "words", (seen) => full(job.lanes)(seen) && seen.words.length === job.words.length);
  // Slowly enough that all of the ring is seen, whenever that is.
  await set(page, "speed", 30);
  await page.click("#pause");
  await until(page, "a pause", (seen) => seen.back === 0 && seen.settled);
  for (const { startSeconds } of (await figures(page)).words) await drawnAt(page, startSeconds);
  const word = (text) => page.locator(`#words button:text-is("${text}")`);
  const over = (count) => page.waitForFunction((count) => globalThis.sounds.length === count && globalThis.sounds.at(-1).over, count, { timeout: 30_000 });
  const [first, second] = job.words;
  await word(first).click();
  await over(1);
  await word(second).focus();
  await page.keyboard.press("Enter");
  await over(2);
  // While it plays another one begins.
  await page.evaluate((texts) => {
    const buttons = [...document.querySelectorAll("#words button")];
    for (const text of texts) buttons.find((button) => button.textContent === text).dispatchEvent(new PointerEvent("pointerdown", { button: 0 }));
  }, job.words);
  await over(4);
  const played = JSON.parse(await page.evaluate(() => JSON.stringify(globalThis.sounds.map((sound) => ({ ...sound, state: sound.state() })))));
  const marked = await page.locator("#words button.heard").allTextContents();
  const answer = { played, marked, faults, violations: await violations(page) };
  await context.close();
  return answer;
}
