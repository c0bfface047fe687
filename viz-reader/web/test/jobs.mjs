// What the tests do with the page. Each job returns what it saw; the judging is the Rust test's, but for waits.
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
/** Pixels of the picture: its size and all of its bytes, as the page has them. */
const picture = (page) =>
  page.evaluate(() => {
    const source = document.getElementById("picture");
    const copy = new OffscreenCanvas(source.width, source.height);
    const context = copy.getContext("2d");
    context.drawImage(source, 0, 0);
    return { width: source.width, height: source.height, data: context.getImageData(0, 0, source.width, source.height).data };
  });
const rgb = ({ width, data }, x, y) => [...data.subarray((y * width + x) * 4, (y * width + x) * 4 + 3)];

/** Known signals are where they must be, in numbers and in pixels. Channels: 440 Hz, a chirp, clicks, 1 kHz and its opposite. */
export async function signals(browser, job) {
  const answers = [];
  for (const query of ["", "?shared=no", "?draw=webgl"]) {
    const { page, context, faults } = await open(browser, job, { query });
    const sound = (seen) => full(5)(seen) && seen.status.tones[0]?.length > 0 && seen.status.meters[0]?.peak > 0 && seen.status.pairs.length > 0;
    await until(page, "known signals", sound);
    await page.waitForTimeout(2500);
    const seen = await figures(page);
    await page.keyboard.press(" ");
    await until(page, "a pause", (now) => now.back === 0 && now.settled);
    const image = await picture(page);
    const now = await figures(page);
    const map = await page.evaluate(() => [...new Uint8Array(globalThis.tympan.colourMap().buffer)]);
    // Near the right edge: the ring may be younger than the picture is wide.
    const column = Math.floor(image.width * 0.85);
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
    answers.push({ query, faults, violations: await violations(page), lanes, end: now.end, secondsPerPixel: now.secondsPerPixel,
      width: image.width, kind: seen.kind, shared: seen.shared, tones: seen.status.tones, meters: seen.status.meters,
      pairs: seen.status.pairs, lost: seen.status.lost, gaps: seen.status.gaps, settings: seen.settings });
    await context.close();
  }
  return answers;
}

/** Each control does what it says. */
export async function controls(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  // What is judged stands in the middle of the picture, and the ring is young.
  await until(page, "half a picture", (now) => now.end[0] > (1280 / 2) * now.secondsPerPixel + 1, 60);
  const seen = {};
  const set = (name, value) => page.locator(`#settings [name=${name}]`).evaluate((field, value) => {
    if (field.type === "checkbox") field.checked = value;
    else field.value = String(value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
  const status = (what, fits) => until(page, what, (now) => now.settled && now.status && fits(now));
  await page.click("#open-settings");
  seen.panel = await page.isVisible("#settings");
  for (const fft of [512, 8192, 2048]) {
    await set("fft", fft);
    await status(`transforms of ${fft}`, (now) => now.status.quality > 0 || now.status.fft === fft);
  }
  await set("hop", 300);
  await status("a hop of 300", (now) => now.status.quality > 0 || now.status.hop === 300);
  await set("hop", "");
  // A column of the picture, at 120 pixels a second.
  await status("the hop that suits", (now) => now.status.quality > 0 || now.status.hop === 400);
  const palette = async () => {
    await page.waitForTimeout(700);
    const image = await picture(page);
    const { places } = await figures(page);
    const map = await page.evaluate(() => [...new Uint8Array(globalThis.tympan.colourMap().buffer)]);
    const colours = new Set(Array.from({ length: 256 }, (_, index) => map.slice(index * 4, index * 4 + 3).join()));
    const { top, height } = places[0].colours;
    let inside = 0;
    for (let y = top; y < top + height; y++) inside += colours.has(rgb(image, image.width >> 1, y).join()) ? 1 : 0;
    return { part: inside / height, first: map.slice(0, 3) };
  };
  seen.palettes = [];
  for (const colours of [0, 1, 2, 3, 4]) {
    await set("colours", colours);
    await status("colours", (now) => now.settings.colours === colours);
    seen.palettes.push(await palette());
  }
  await set("colours", 2);
  // Where the 440 Hz of the first lane is: from the bottom, in parts of the height.
  seen.rows = [];
  for (const scale of [0, 1, 2]) {
    await set("scale", scale);
    await status("a scale", (now) => now.settings.scale === scale);
    await page.waitForTimeout(700);
    const image = await picture(page);
    const { places } = await figures(page);
    const { top, height } = places[0].colours;
    const light = Array.from({ length: height }, (_, row) => rgb(image, image.width >> 1, top + height - 1 - row).reduce((a, b) => a + b));
    seen.rows.push((light.indexOf(Math.max(...light)) + 0.5) / height);
  }
  await set("scale", 1);
  const light = async () => {
    await page.waitForTimeout(700);
    const image = await picture(page);
    const { places } = await figures(page);
    const { top, height } = places[0].colours;
    let sum = 0;
    for (let y = top; y < top + height; y++) sum += rgb(image, image.width >> 1, y).reduce((a, b) => a + b) / 3 / height;
    return sum;
  };
  await set("lowDb", -130);
  seen.lightLow = await light();
  await set("lowDb", -40);
  seen.lightHigh = await light();
  await set("lowDb", -100);
  await set("show", "wave");
  seen.waveOnly = (await status("waves alone", (now) => now.places[0].colours.height === 0)).places[0];
  await set("show", "spectrogram");
  seen.spectrogramOnly = (await status("spectrograms alone", (now) => now.places[0].wave.height === 0)).places[0];
  await set("show", "both");
  await set("speed", 240);
  await status("another speed", (now) => Math.abs(now.secondsPerPixel - 1 / 240) < 1e-9);
  await set("speed", 120);
  await set("labels", false);
  await page.waitForFunction(() => document.querySelectorAll("#tones span").length === 0);
  await set("labels", true);
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
  await until(page, "words", (seen) => full(job.lanes)(seen) && seen.words.length === job.words);
  await page.waitForTimeout(500);
  const spoken = await page.textContent("#spoken");
  const partials = (await figures(page)).partials;
  const place = await page.evaluate(() => {
    const { end, secondsPerPixel, words } = globalThis.tympan.figures();
    const width = document.getElementById("stage").clientWidth;
    return [...document.querySelectorAll("#words button:not([hidden])")].map((button) => ({
      text: button.textContent, x: button.getBoundingClientRect().left,
      right: width - (end[0] - words.find((word) => word.text === button.textContent).startSeconds) / secondsPerPixel,
    }));
  });
  // It moves with every frame, until it is hit.
  for (let turn = 0; turn < 20 && (await figures(page)).back === null; turn++) {
    await page.click(`#words button:text-is("${job.press}")`, { force: true });
  }
  const heard = await until(page, "the word's sound", (seen) => seen.heard.length > 0);
  await until(page, "the word's picture", (seen) => seen.back !== null && seen.settled);
  await page.waitForTimeout(300);
  const selection = await page.locator("#selection").boundingBox();
  const answer = { faults, violations: await violations(page), spoken, partials, place, heard: heard.heard[0][1], back: heard.back, selection, width: await page.evaluate(() => document.getElementById("stage").clientWidth) };
  await context.close();
  return answer;
}

/** Gaps, another epoch, an end: told, drawn, and gone through. `orders` are written to files that the test watches. */
export async function breaks(browser, job) {
  const { writeFileSync } = await import("node:fs");
  const order = (text) => writeFileSync(job.orders, `${text}\n`, { flag: "a" });
  const [one, two] = [await open(browser, job), await open(browser, job, { viewport: { width: 375, height: 700 } })];
  await until(one.page, "a picture", full(job.lanes));
  await until(two.page, "a picture in the other browser", full(job.lanes));
  order("gap 300");
  const gap = await until(one.page, "the gap", (seen) => seen.status.gaps >= 14_400);
  await until(two.page, "the gap in the other browser", (seen) => seen.status.gaps >= 14_400);
  await one.page.waitForTimeout(700);
  await one.page.keyboard.press(" ");
  const still = await until(one.page, "a pause", (seen) => seen.back === 0 && seen.settled);
  await one.page.waitForTimeout(300);
  const image = await picture(one.page);
  // Stripes of the gap's colour in the wave.
  const { top, height } = still.places[0].wave;
  const faint = await one.page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--faint").trim());
  const wanted = [1, 3, 5].map((at) => parseInt(faint.slice(at, at + 2), 16)).join();
  const hatched = [];
  for (let x = 0; x < image.width; x++) {
    let count = 0;
    for (let y = top; y < top + height; y++) count += rgb(image, x, y).join() === wanted ? 1 : 0;
    if (count > height / 4) hatched.push(x);
  }
  // The spectrogram has no transform that would need a frame of the gap: half a transform more on both sides.
  const below = still.places[0].colours;
  let dark = 0;
  for (let x = 0; x < image.width; x++) {
    let count = 0;
    for (let y = below.top; y < below.top + below.height; y++) count += rgb(image, x, y).join() === wanted ? 1 : 0;
    if (count > below.height / 4) dark += 1;
  }
  const { fft, hop } = still.status;
  await one.page.keyboard.press("Home");
  const before = (await figures(one.page)).end[0];
  order("epoch");
  const after = await until(one.page, "the next epoch", (seen) =>
    seen.back === null && seen.end[0] > before + 2 && seen.status.gaps > gap.status.gaps);
  order("close");
  await one.page.waitForFunction(() => document.getElementById("connection").dataset.state === "ended", null, { timeout: 30_000 });
  const answer = {
    gaps: gap.status.gaps, hatched: hatched.length, dark, darkExpected: (0.3 + fft / 48_000) / still.secondsPerPixel, hopColumns: hop / 48_000 / still.secondsPerPixel, after: after.status.gaps, lost: after.status.lost, expected: 0.3 / still.secondsPerPixel,
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
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const pids = processInfo.filter((one) => one.type === "renderer").map((one) => one.id);
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
  const answer = { fine: fine.status.fft, coarse: { fft: coarse.status.fft, hop: coarse.status.hop, scale: coarse.coarse, quality: coarse.status.quality }, again: { fft: again.status.fft, hop: again.status.hop }, lost: again.status.lost, skipped: again.status.skipped, faults };
  await context.close();
  return answer;
}

/** Stops the whole page for so long that the server's patience ends: what it missed is told and drawn. */
export async function stopped(browser, job) {
  const { page, context, faults } = await open(browser, job);
  const before = await until(page, "a picture", full(job.lanes));
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const pids = processInfo.filter((one) => one.type === "renderer").map((one) => one.id);
  pids.forEach((pid) => process.kill(pid, "SIGSTOP"));
  await new Promise((done) => setTimeout(done, job.stopMs));
  pids.forEach((pid) => process.kill(pid, "SIGCONT"));
  const after = await until(page, "the sound of now", (seen) => seen.settled && seen.end[0] > before.end[0] + job.stopMs / 1000, 60);
  const answer = { lost: after.status.lost, skipped: after.status.skipped, ahead: after.end[0] - before.end[0], faults };
  await context.close();
  return answer;
}

/** Figures for the bench: frames drawn, latency, the worker's ticks, the transform's time. */
export async function bench(browser, job) {
  const { page, context, faults } = await open(browser, job);
  await until(page, "a picture", full(job.lanes));
  await page.waitForTimeout(2000);
  await page.evaluate(() => globalThis.tympan.forgetLatencies());
  const begin = await figures(page);
  const at = Date.now();
  await page.waitForTimeout(job.seconds * 1000);
  const end = await figures(page);
  const seconds = (Date.now() - at) / 1000;
  await page.evaluate((turns) => globalThis.tympan.measure(turns), 20_000);
  const measured = (await until(page, "the transform's time", (seen) => seen.measured > 0, 60)).measured;
  await context.close();
  const received = { bytes: end.status.received.bytes - begin.status.received.bytes, samples: end.status.received.samples - begin.status.received.samples };
  return {
    fps: (end.draws - begin.draws) / seconds, latencyP50: end.latencyP50, latencyP95: end.latencyP95, tickP99: end.status.tickP99,
    transformUs: measured, lost: end.status.lost - begin.status.lost, skipped: end.status.skipped, bytesPerSample: received.bytes / received.samples / 4,
    load: end.status.load, quality: end.status.quality, kind: end.kind, seconds, faults,
  };
}
