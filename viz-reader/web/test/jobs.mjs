// What the tests do with the page. Each job returns what it saw; the judging is the Rust test's, but for waits.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { figures, open, until } from "./page.mjs";

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

const shown = (seen) => seen.lanes.length > 0 && seen.settled && seen.draws > 20;
/** The picture is full: what was there before the page was opened has come too. */
const full = (lanes) => (seen) => shown(seen) && seen.lanes.length === lanes && seen.lanes.every((lane) => lane.state === "live");
const violations = (page) => page.evaluate(() => globalThis.violations);
/**
 * The picture's pixels and the page's figures of one moment: how finely is drawn may change at any time. Waits until what was
 * asked for last is what is seen. `columnS`: seconds of one of its columns.
 */
async function glance(page) {
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
const rgb = ({ width, data }, x, y) => [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 3)];
/** A picture that stands still, once all of it is there: three looks in a row see the same. */
async function still(page) {
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
/** The next frame of the page is drawn, and what stands beside the picture is in its place. */
const nextFrame = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
/** The colours of the map that is chosen. */
const colourMap = (page) => page.evaluate(() => [...new Uint8Array(globalThis.tympan.colourMap().buffer)]);
/** Where on the picture's way to the right is looked: there is sound soon after a ring began. */
const LOOKED_AT = 0.85;
/** A column of the first lane's spectrogram, from the top, once all of its pixels are colours of the map. */
async function oneColumn(page) {
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
/** How many columns of a strip are striped with a colour of the style sheet: what is missing is drawn so. */
async function striped(page, image, { top, height }, name) {
  const colour = await page.evaluate((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim(), name);
  const wanted = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)).join();
  let columns = 0;
  for (let x = 0; x < image.width; x++) {
    let count = 0;
    for (let y = top; y < top + height; y++) count += rgb(image, x, y).join() === wanted ? 1 : 0;
    if (count > height / 4) columns += 1;
  }
  return columns;
}
/** Sets a field of the settings' panel. */
const set = (page, name, value) =>
  page.locator(`#settings [name=${name}]`).evaluate((field, value) => {
    if (field.type === "checkbox") field.checked = value;
    else field.value = String(value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
/** The processes that pages run in. */
async function renderers(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.filter((one) => one.type === "renderer").map((one) => one.id);
}

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
    const lanes = now.places.map(({ wave, colours }) => {
      // From the bottom up: the brightest of the map's colours.
      let [brightest, index] = [0, -1];
      let unknown = 0;
      for (let row = 0; row < colours.height; row++) {
        const [r, g, b] = rgb(image, column, colours.top + colours.height - 1 - row);
        const at = map.findIndex((_, place) => place % 4 === 0 && map[place] === r && map[place + 1] === g && map[place + 2] === b) / 4;
        if (at < 0) unknown += 1;
        else if (at > index) [brightest, index] = [row, at];
      }
      // Columns of the wave that reach 0.9 of the height above the middle.
      const y = Math.round(wave.top + (wave.height - 1) / 2 - 0.9 * ((wave.height - 1) / 2));
      const ground = rgb(image, 0, wave.top + 1);
      const clicks = [];
      for (let x = 0; x < image.width; x++) if (rgb(image, x, y).join() !== ground.join()) clicks.push(x);
      return { brightest, level: index, unknown, rows: colours.height, clicks };
    });
    answers.push({ query, faults, violations: await violations(page), lanes, end: now.end, columnS,
      width: image.width, ffts: [seen.status.fft, now.status.fft], kind: seen.kind, shared: seen.shared, tones: seen.status.tones, meters: seen.status.meters,
      pairs: seen.status.pairs, lost: seen.status.lost, gaps: seen.status.gaps, settings: seen.settings });
    await context.close();
  }
  return answers;
}

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
  await page.keyboard.press("Escape");
  seen.closed = !(await page.isVisible("#settings"));
  await page.keyboard.press("d");
  seen.theme = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.keyboard.press("d");

  // Moving in time.
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
  const box = await page.locator("#overview").boundingBox();
  await page.mouse.click(box.x + box.width * 0.5, box.y + box.height / 2);
  const scrubbed = await figures(page);
  seen.scrubbed = scrubbed.back;
  // The middle of the history comes to the middle of the picture.
  const { oldest, newest } = Object.values(scrubbed.status.clocks)[0];
  seen.scrubExpected = paused.end[0] - (oldest + newest) / 2 - (scrubbed.secondsPerPixel * (await page.evaluate(() => document.getElementById("stage").clientWidth))) / 2;
  const [save] = await Promise.all([page.waitForEvent("download"), page.click("#png")]);
  await save.saveAs(job.png);
  await page.keyboard.press("Home");
  await status("now", (now) => now.back === null);
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

/** Gaps, another epoch, an end: told, drawn, and gone through. `orders` are written to files that the test watches. */
export async function breaks(browser, job) {
  const order = (text) => writeFileSync(job.orders, `${text}\n`, { flag: "a" });
  const [one, two] = [await open(browser, job), await open(browser, job, { viewport: { width: 375, height: 700 } })];
  await until(one.page, "a picture", full(job.lanes));
  await until(two.page, "a picture in the other browser", full(job.lanes));
  order("gap 300");
  const gap = await until(one.page, "the gap", (seen) => seen.status.gaps >= 14_400);
  await until(two.page, "the gap in the other browser", (seen) => seen.status.gaps >= 14_400);
  // What follows the gap is seen, too.
  await until(one.page, "sound after it", (seen) => seen.end[0] > gap.end[0] + 0.7);
  await one.page.keyboard.press(" ");
  await until(one.page, "a pause", (seen) => seen.back === 0 && seen.settled);
  const { image, now: paused, columnS } = await still(one.page);
  // Stripes of the gap's colour in the wave; in the spectrogram half a transform more on both sides: none needs a frame of it.
  const hatched = await striped(one.page, image, paused.places[0].wave, "--faint");
  const dark = await striped(one.page, image, paused.places[0].colours, "--faint");
  const { fft, hop } = paused.status;
  await one.page.keyboard.press("Home");
  const before = (await figures(one.page)).end[0];
  order("epoch");
  const after = await until(one.page, "the next epoch", (seen) =>
    seen.back === null && seen.end[0] > before + 2 && seen.status.gaps > gap.status.gaps);
  order("close");
  await one.page.waitForFunction(() => document.getElementById("connection").dataset.state === "ended", null, { timeout: 30_000 });
  const answer = {
    gaps: gap.status.gaps, hatched, dark, darkExpected: (0.3 + fft / 48_000) / columnS, hopColumns: hop / 48_000 / columnS, after: after.status.gaps, lost: after.status.lost, expected: 0.3 / columnS,
    other: (await figures(two.page)).status.lost, faults: [...one.faults, ...two.faults], violations: await violations(one.page),
    overflow: await two.page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
  };
  await one.context.close();
  await two.context.close();
  return answer;
}

/** A page that wants a token, without and with it. */
export async function token(browser, job) {
  const bare = await open(browser, { ...job, url: job.url.split("#")[0] });
  await bare.page.waitForFunction(() => document.getElementById("connection").dataset.state === "refused", null, { timeout: 30_000 });
  const refused = await bare.page.textContent("#connection");
  const own = await open(browser, job);
  await until(own.page, "a picture", full(job.lanes));
  const address = own.page.url();
  await bare.context.close();
  await own.context.close();
  return { refused, address };
}

/** With a sixth of the processor: coarser, nothing hidden, and fine again. */
export async function throttled(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  const fine = await until(page, "all of the quality", (seen) => seen.status.quality === 0 && seen.coarse === 1, 60);
  const pids = await renderers(browser);
  // The browser's own throttle holds the page's thread alone, and not its worker: the whole process gets a sixth.
  let on = true;
  const turn = async () => {
    while (on) {
      pids.forEach((pid) => process.kill(pid, "SIGSTOP"));
      await new Promise((done) => setTimeout(done, 50));
      pids.forEach((pid) => process.kill(pid, "SIGCONT"));
      await new Promise((done) => setTimeout(done, 10));
    }
  };
  const turning = turn();
  let coarse;
  try {
    coarse = await until(page, "a coarser picture", (seen) => seen.status.quality > 0 || seen.coarse > 1, 60);
  } finally {
    on = false;
    await turning;
  }
  const again = await until(page, "the quality again", (seen) => seen.status.quality === 0 && seen.coarse === 1, 60);
  const answer = { fine: fine.status.fft, coarse: { fft: coarse.status.fft, hop: coarse.status.hop, scale: coarse.coarse, quality: coarse.status.quality }, again: { fft: again.status.fft, hop: again.status.hop }, before: account(fine), after: account(again), skipped: again.status.skipped, faults };
  await context.close();
  return answer;
}

/**
 * What the page was told by now: all numbers of one status, as they are told together. Frames that came, frames that are told
 * as lost or never captured, and one past the newest of them.
 */
const account = ({ status, lanes }) => {
  const { newest } = status.clocks[lanes[0].clock];
  return { newest: Math.round(newest * lanes[0].rateHz), came: status.received.samples / lanes.length, lost: status.lost, gaps: status.gaps };
};
/** Memory of processes that no file is behind, in MiB. */
const anonymousMb = (pids) =>
  pids.reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return sum + Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  }, 0);

/**
 * Stops the page (or the server: `job.server` is its process) for so long that what passes meanwhile fits in no buffer, and
 * lets it go on. What it is told by then, what is drawn as lost, and how long it takes to be at now again.
 */
export async function stopped(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  // How old the newest frame of the picture is, but for when the ring began.
  const age = (seen) => Date.now() / 1000 - seen.end[0];
  let usual = Infinity;
  const begin = Date.now();
  const before = await until(page, "a look at its pace", (seen) => {
    usual = Math.min(usual, age(seen));
    return Date.now() - begin > 1000;
  });
  const pages = await renderers(browser);
  const pids = job.server ? [job.server] : pages;
  const devtools = await context.newCDPSession(page);
  const turn = async (on) => {
    if (job.frozen) await devtools.send("Page.setWebLifecycleState", { state: on ? "active" : "frozen" });
    else pids.forEach((pid) => process.kill(pid, on ? "SIGCONT" : "SIGSTOP"));
  };
  const memoryBefore = anonymousMb(pages);
  await turn(false);
  const stoppedAt = Date.now();
  try {
    await new Promise((done) => setTimeout(done, job.stopMs));
  } finally {
    await turn(true);
  }
  const goesOnAt = Date.now();
  await until(page, "the sound of now", (seen) => seen.settled && age(seen) < usual + 0.3, 60);
  const liveMs = Date.now() - goesOnAt;
  // Slowly enough that all of the stop is seen.
  await set(page, "speed", 30);
  await until(page, "another speed", (seen) => seen.settled && Math.abs(seen.secondsPerPixel - 1 / 30) < 1e-9);
  await page.keyboard.press(" ");
  await until(page, "a pause", (seen) => seen.back === 0 && seen.settled);
  const { image, now: after, columnS } = await still(page);
  const lost = await striped(page, image, after.places[0].wave, "--bad");
  const answer = {
    before: account(before), after: account(after), stoppedMs: goesOnAt - stoppedAt, liveMs, grownMb: anonymousMb(pages) - memoryBefore, drawnLostS: lost * columnS,
    columnS, faults, violations: await violations(page),
  };
  await context.close();
  return answer;
}

/** A ring of an unusual kind for two seconds: what came, what was lost, and whether a click is answered. */
export async function unusual(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes), 60);
  const before = await figures(page);
  await until(page, "two seconds", (seen) => seen.end[0] > before.end[0] + 2);
  const clickedAt = Date.now();
  await page.click("#theme");
  await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  const clickMs = Date.now() - clickedAt;
  const after = await until(page, "the sound of now", (seen) => seen.settled && seen.draws > before.draws && seen.status.clocks[seen.lanes[0].clock]);
  const numbers = [...after.status.meters.flatMap(({ peak, rms, held }) => [peak, rms, held]), ...after.status.pairs.map(({ value }) => value)];
  const answer = {
    before: account(before), after: account(after), clickMs, tone: after.status.tones.at(-1)?.[0] ?? null, finite: numbers.every(Number.isFinite), numbers: numbers.map(String),
    rateHz: after.lanes[0].rateHz, faults, violations: await violations(page),
  };
  await context.close();
  return answer;
}

/** A ring that another program's takes the place of, and one whose writer dies: `orders` as in `breaks`; `crash` is a process. */
export async function replaced(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  const before = await until(page, "three seconds", (seen) => seen.end[0] > 3);
  writeFileSync(job.orders, "anew\n", { flag: "a" });
  const after = await until(page, "the other ring", (seen) =>
    full(job.lanes)(seen) && seen.lanes[0].clock !== before.lanes[0].clock && seen.end[0] > 0.5 && seen.status.clocks[seen.lanes[0].clock]);
  await page.waitForTimeout(1000);
  const later = await figures(page);
  process.kill(job.crash, "SIGKILL");
  await page.waitForFunction(() => document.getElementById("connection").dataset.state === "ended", null, { timeout: 30_000 });
  await page.click("#theme");
  await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  const ended = await figures(page);
  const answer = { before: account(before), after: account(after), later: account(later), states: ended.lanes.map((lane) => lane.state), faults, violations: await violations(page) };
  await context.close();
  return answer;
}

/** Of every transform that can be wished: those that are computed for it, step by step. */
export async function steps() {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({ entryPoints: ["src/worker/quality.ts"], bundle: true, format: "esm", write: false });
  const { Quality } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
  const quality = new Quality();
  const all = [];
  for (quality.step = 0; quality.step < 5; quality.step++) {
    for (const fft of [512, 1024, 2048, 4096, 8192]) {
      for (const divisor of [1, 2, 4, 8, 16]) all.push({ fft, hop: fft / divisor, step: quality.step, computed: quality.transform(fft, fft / divisor) });
    }
  }
  return all;
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

/** Draws so many frames as fast as they go; the memory of page and server ten times on the way. */
export async function endure(browser, job) {
  const { page, context, faults } = await open(browser, job);
  const begin = await until(page, "a picture", full(job.lanes));
  await set(page, "speed", 480);
  const pids = await renderers(browser);
  const devtools = await context.newCDPSession(page);
  const looks = [];
  const beganAt = Date.now();
  for (let part = 1; part <= 10; part++) {
    await until(page, `${part} tenths`, (seen) => seen.draws - begin.draws >= (job.frames * part) / 10, job.seconds / 10);
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    looks.push({ heapMb: usedSize / 2 ** 20, pageMb: anonymousMb(pids), serverMb: anonymousMb([job.server]), seconds: (Date.now() - beganAt) / 1000 });
  }
  const end = await figures(page);
  const answer = { looks, draws: end.draws - begin.draws, before: account(begin), after: account(end), faults, violations: await violations(page) };
  await context.close();
  return answer;
}

/** Seconds of a processor that a process has used, to a hundredth: what the kernel counts in. */
const usedSeconds = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

/** Figures for the bench: frames drawn, latency, the worker's ticks, the transform's time. */
export async function bench(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  await page.waitForTimeout(2000);
  await page.evaluate(() => globalThis.tympan.forgetLatencies());
  const begin = await figures(page);
  const [at, used] = [Date.now(), usedSeconds(job.server)];
  // The page keeps the last ten seconds of latencies and the last twenty of ticks: of all of them the worst are told.
  let [latencyP50, latencyP95, tickP99] = [0, 0, 0];
  while (Date.now() - at < job.seconds * 1000) {
    await page.waitForTimeout(Math.min(9000, Math.max(1, job.seconds * 1000 - (Date.now() - at))));
    const now = await figures(page);
    latencyP50 = Math.max(latencyP50, now.latencyP50);
    latencyP95 = Math.max(latencyP95, now.latencyP95);
    tickP99 = Math.max(tickP99, now.status.tickP99);
  }
  const end = await figures(page);
  const seconds = (Date.now() - at) / 1000;
  const serverShare = ((usedSeconds(job.server) - used) / seconds) * 100;
  await page.evaluate((turns) => globalThis.tympan.measure(turns), 20_000);
  const measured = (await until(page, "the transform's time", (seen) => seen.measured > 0, 60)).measured;
  await context.close();
  const received = { bytes: end.status.received.bytes - begin.status.received.bytes, samples: end.status.received.samples - begin.status.received.samples };
  return {
    fps: (end.draws - begin.draws) / seconds, latencyP50, latencyP95, tickP99, serverShare,
    transformUs: measured, lost: end.status.lost - begin.status.lost, skipped: end.status.skipped - begin.status.skipped, bytesPerSample: received.bytes / received.samples / 4,
    load: end.status.load, quality: end.status.quality, kind: end.kind, seconds, faults,
  };
}
