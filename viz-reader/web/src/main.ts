/** The page: what a person sees and does. The worker computes; here is drawn. */

import { clockTime, colour, drawLaneStates, drawMarks, drawTime, hertz, hzAt, position } from "./axes";
import { PictureCanvas } from "./canvas";
import { listen } from "./gestures";
import { type Lane, lanesIn } from "./layout";
import type { FromWorker, LaneName, Status, ToWorker } from "./messages";
import { drawMeters } from "./meters";
import { Panel, chosenChannels } from "./panel";
import { pixel } from "./paint";
import { Picture } from "./picture";
import type { StreamInfo } from "./ring-client";
import { Scrub } from "./scrub";
import { FFTS, LOW_HZ, type Settings, defaults, forget, fromCommandLine, load, lookOf, save } from "./settings";
import { download, snapshot } from "./snapshot";
import { play } from "./sound";
import { type Word, Words } from "./words";

const get = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const query = new URLSearchParams(location.search);
const stage = get("stage");
const canvas = new PictureCanvas(get<HTMLCanvasElement>("picture"), query.get("draw"));
const shared = self.crossOriginIsolated && query.get("shared") !== "no";

/** As the command line wished it; then what was set in this browser. */
let first: Settings = defaults();
let settings: Settings = { ...first, ...load() };
let streams: StreamInfo[] = [];
let lanes: LaneName[] = [];
let places: Lane[] = [];
let colourMaps: Uint32Array[] = [];
let status: Status | null = null;
let state = "connecting";
/** Null: now. Otherwise how many seconds before the moment of the pause the right edge is. */
let back: number | null = null;
let secondsPerPixel = 1 / settings.speed;
/** Pixels of the picture for each of the screen: fewer where drawing falls behind. */
let coarse = 1;
let serial = 0;
let selection: { stream: string; from: number; to: number } | null = null;
const inFlight = new Map<number, { height: number; places: Lane[]; back: number | null; secondsPerPixel: number }>();

const worker = new Worker("worker.js");
const tell = (message: ToWorker) => worker.postMessage(message);

// ---- The address's token is kept for this tab and taken out of the address -------------------------------------------

const TOKEN = "tympan.token";
const inAddress = new URLSearchParams(location.hash.slice(1)).get("token");
if (inAddress) {
  sessionStorage.setItem(TOKEN, inAddress);
  history.replaceState(null, "", location.pathname + location.search);
}
tell({ type: "begin", url: `ws://${location.host}/ws`, token: sessionStorage.getItem(TOKEN), shared });

// ---- Views ----------------------------------------------------------------------------------------------------------

let viewWanted = false;
let viewSentAt = 0;

/** Asks for a new picture; in the next frame, and not before the last one is there. */
const wantView = () => {
  viewWanted = true;
};

function sendView(): void {
  const now = performance.now();
  if (!viewWanted || colourMaps.length === 0 || (!canvas.settled && now - viewSentAt < 250)) return;
  if (stage.clientWidth === 0 || lanes.length === 0) return;
  viewWanted = false;
  viewSentAt = now;
  const ratio = (devicePixelRatio || 1) / coarse;
  const [columns, height] = [Math.max(16, Math.round(stage.clientWidth * ratio)), Math.max(16, Math.round(stage.clientHeight * ratio))];
  places = lanesIn(height, lanes.length, settings.show, Math.max(1, Math.round(3 * ratio)));
  const rates = lanes.map((lane) => streams.find((one) => one.stream === lane.stream)?.sample_rate_hz ?? 48_000);
  serial += 1;
  inFlight.set(serial, { height, places, back, secondsPerPixel });
  for (const old of inFlight.keys()) if (old < serial - 20) inFlight.delete(old);
  tell({
    type: "view",
    view: {
      serial, lanes, columns, rows: Math.max(1, places[0]?.colours.height ?? 1), secondsPerColumn: secondsPerPixel / ratio, back,
      look: lookOf(settings, Math.max(...rates)),
    },
  });
}

function pictureBegun(message: Extract<FromWorker, { type: "picture" }>): void {
  const sent = inFlight.get(message.serial);
  if (!sent || message.serial !== serial) return;
  const picture = message.buffer ? Picture.over(message.shape, message.buffer) : Picture.create(message.shape, false);
  const ink = {
    ground: pixel(colour("ground")), wave: pixel(colour("wave-soft")), body: pixel(colour("wave")), axis: pixel(colour("line")),
    clip: pixel(colour("bad")), gap: pixel(colour("faint")), lost: pixel(colour("bad")), skipped: pixel(colour("warn")),
  };
  canvas.begin(message.serial, picture, message.lanes, sent.places, sent.height, ink, colourMaps[settings.colours], 10 ** (settings.gainDb / 20), sent.back, sent.secondsPerPixel);
  marksWanted = true;
}

/** The second at the right edge of a stream's picture: as it is asked for, not as it is drawn yet. */
function endSeconds(stream: string): number | null {
  const lane = lanes.findIndex((one) => one.stream === stream);
  if (lane < 0 || !canvas.lanes[lane]) return null;
  return canvas.endSeconds(lane);
}

const firstClock = () => (canvas.lanes[0] ? status?.clocks[canvas.lanes[0].clock] : undefined);

// ---- Moving ---------------------------------------------------------------------------------------------------------

function pause(): void {
  if (back !== null) return;
  back = 0;
  tell({ type: "pause" });
  const clock = firstClock();
  pausedAt = clock?.newest ?? 0;
  showMoving();
  wantView();
}

let pausedAt = 0;

function live(): void {
  back = null;
  selection = null;
  secondsPerPixel = Math.min(Math.max(secondsPerPixel, 1 / 480), 1 / 10);
  showMoving();
  wantView();
}

function showMoving(): void {
  get("pause").setAttribute("aria-pressed", String(back !== null));
  get("pause").querySelector(".text")!.textContent = back === null ? "Pause" : "Go on";
  get<HTMLButtonElement>("live").disabled = back === null;
}

function moveTo(seconds: number): void {
  pause();
  const clock = firstClock();
  const span = stage.clientWidth * secondsPerPixel;
  const most = Math.max(0, pausedAt - (clock?.oldest ?? 0) - span / 2);
  back = Math.min(Math.max(0, seconds), Math.max(most, 0));
  wantView();
}

function zoom(factor: number, x: number): void {
  const right = (stage.clientWidth - x) * secondsPerPixel;
  const next = Math.min(Math.max(secondsPerPixel * factor, 1 / 24_000), 60 / stage.clientWidth);
  // Deeper than anybody can follow: it stands still.
  if (back === null && next < 1 / 480) pause();
  if (back !== null) back = Math.max(0, back + right - (stage.clientWidth - x) * next);
  secondsPerPixel = next;
  wantView();
}

const pan = (pixels: number) => moveTo((back ?? 0) + pixels * secondsPerPixel);

// ---- Settings -------------------------------------------------------------------------------------------------------

const panel = new Panel(get("settings"), get<HTMLButtonElement>("open-settings"), change);

function change(changes: Partial<Settings>): void {
  settings = { ...settings, ...changes };
  save(changes);
  if (changes.speed && back === null) secondsPerPixel = 1 / settings.speed;
  applySettings();
}

function applySettings(): void {
  document.documentElement.dataset.theme = settings.theme;
  panel.show(settings);
  listStreams();
  marksWanted = true;
  wantView();
}

function listStreams(): void {
  const chosen = chosenChannels(streams, settings);
  const next = streams.flatMap(({ stream }) => (chosen.get(stream) ?? []).map((channel) => ({ stream, channel })));
  if (JSON.stringify(next) !== JSON.stringify(lanes)) {
    lanes = next;
    wantView();
  }
  panel.channels(streams, ({ stream }) => chosen.get(stream) ?? [], ({ stream }, channel) => {
    const now = chosenChannels(streams, settings).get(stream) ?? [];
    const then = now.includes(channel) ? now.filter((one) => one !== channel) : [...now, channel].sort((a, b) => a - b);
    change({ channels: { ...settings.channels, [stream]: then } });
  });
  const empty = get("empty");
  empty.hidden = lanes.length > 0;
  empty.textContent = state !== "open" ? "" : streams.length === 0 ? "No stream is there yet.\nStart one with: tympan run" : "No channel is chosen.";
}

// ---- What is drawn beside the picture -------------------------------------------------------------------------------

let marksWanted = true;

function drawBeside(): void {
  const ratio = (devicePixelRatio || 1) / coarse;
  const inCss = (lane: Lane): Lane => ({
    top: lane.top / ratio, height: lane.height / ratio,
    wave: { top: lane.wave.top / ratio, height: lane.wave.height / ratio },
    colours: { top: lane.colours.top / ratio, height: lane.colours.height / ratio },
  });
  const css = places.map(inCss);
  if (marksWanted) {
    marksWanted = false;
    const names = lanes.map(({ stream, channel }) => {
      const info = streams.find((one) => one.stream === stream);
      return info && info.channels > 1 ? `${stream} · ${info.labels[channel] ?? channel + 1}` : stream;
    });
    drawMarks(get<HTMLCanvasElement>("marks"), css, names, { scale: settings.scale, lowHz: lowHz(), highHz });
    drawLaneStates(get<HTMLCanvasElement>("marks"), css, canvas.lanes);
  }
  if (status && statusNew) {
    statusNew = false;
    drawMeters(get<HTMLCanvasElement>("meters"), css, status);
    showTones(css);
  }
}

const lowHz = () => (settings.scale === 0 ? 0 : LOW_HZ);
const highHz = (lane: number) => {
  const own = (canvas.lanes[lane]?.rateHz ?? 48_000) / 2;
  return Math.min(own, Math.max(...canvas.lanes.map((one) => one.rateHz / 2), 0) || own);
};

function showTones(css: Lane[]): void {
  const place = get("tones");
  const labels: HTMLElement[] = [];
  if (settings.labels && settings.show !== "wave" && back === null) {
    status!.tones.forEach((tones, lane) => {
      const { top, height } = css[lane]?.colours ?? { top: 0, height: 0 };
      const used: number[] = [];
      for (const { hz, levelDb } of tones) {
        const y = top + height * (1 - position(settings.scale, hz, lowHz(), highHz(lane)));
        if (height < 30 || y < top + 6 || y > top + height - 6 || used.some((other) => Math.abs(other - y) < 18)) continue;
        used.push(y);
        const label = document.createElement("span");
        label.textContent = `${hertz(hz)}  ${levelDb.toFixed(1).replace("-", "−")} dB`;
        label.style.top = `${y.toFixed(1)}px`;
        labels.push(label);
      }
    });
  }
  place.replaceChildren(...labels);
}

const words = new Words(get("words"), get("spoken"), hear);
let sounds = 0;

/** Shows a word's sound and plays it. */
function hear(word: Word): void {
  const rate = (word.to - word.from) / Math.max(1e-6, word.endSeconds - word.startSeconds);
  pause();
  moveTo(pausedAt - (word.startSeconds + word.endSeconds) / 2 - (stage.clientWidth * secondsPerPixel) / 2);
  selection = { stream: word.stream, from: word.startSeconds, to: word.endSeconds };
  const channels = lanes.filter((lane) => lane.stream === word.stream).map((lane) => lane.channel);
  const margin = Math.round(rate * 0.05);
  tell({ type: "sound", request: ++sounds, stream: word.stream, channels, from: Math.max(0, word.from - margin), to: word.to + margin });
}

const scrub = new Scrub(get<HTMLCanvasElement>("overview"), (seconds) => {
  pause();
  moveTo(pausedAt - seconds - (stage.clientWidth * secondsPerPixel) / 2);
});

function moveAlong(): void {
  const width = stage.clientWidth;
  // While an old picture is stretched to its new place, the axis is there already.
  const shift = back === null ? 0 : Math.max(0, pausedAt - back) - (canvas.lanes[0] ? canvas.endSeconds(0) : 0);
  const end = (canvas.lanes[0] ? canvas.endSeconds(0) : 0) + (Math.abs(shift) > 2 * secondsPerPixel ? shift : 0);
  drawTime(get<HTMLCanvasElement>("time"), end, secondsPerPixel);
  const x = (stream: string, seconds: number) => {
    const own = endSeconds(stream);
    return own === null ? null : width - (own - seconds) / secondsPerPixel;
  };
  words.move(x, width);
  const mark = get("selection");
  const [from, to] = selection ? [x(selection.stream, selection.from), x(selection.stream, selection.to)] : [null, null];
  mark.hidden = from === null || to === null;
  if (from !== null && to !== null) {
    mark.style.left = `${from}px`;
    mark.style.width = `${Math.max(2, to - from)}px`;
  }
  if (canvas.lanes[0]?.clock === scrub.overview?.clock) scrub.draw(end - width * secondsPerPixel, end);
}

// ---- Pointing -------------------------------------------------------------------------------------------------------

let pointed: { x: number; y: number; lane: number } | null = null;

function point(x: number, y: number): void {
  const ratio = (devicePixelRatio || 1) / coarse;
  const lane = places.findIndex((one) => y * ratio >= one.top && y * ratio < one.top + one.height);
  pointed = lane < 0 ? null : { x, y, lane };
  get("cursor").hidden = !pointed;
  if (pointed) tell({ type: "point", serial: canvas.serial, lane, column: canvas.columnAt(lane, x / stage.clientWidth) });
}

function showPoint({ levels }: Extract<FromWorker, { type: "point" }>): void {
  if (!pointed) return;
  const { x, y, lane } = pointed;
  const cursor = get("cursor");
  cursor.style.left = `${x}px`;
  cursor.classList.toggle("left", x > stage.clientWidth - 170);
  const label = cursor.firstElementChild as HTMLElement;
  const ratio = (devicePixelRatio || 1) / coarse;
  const { top, height } = places[lane].colours;
  const part = 1 - (y * ratio - top) / height;
  const seconds = canvas.endSeconds(lane) - (stage.clientWidth - x) * secondsPerPixel;
  let text = clockTime(seconds, secondsPerPixel < 0.002 ? 4 : 2);
  if (part >= 0 && part <= 1) {
    const hz = hzAt(settings.scale, part, lowHz(), highHz(lane));
    const bin = Math.min(levels.length - 1, Math.round((hz / (canvas.lanes[lane].rateHz / 2)) * (levels.length - 1)));
    text += `\n${hertz(hz)}\n${levels[bin].toFixed(1).replace("-", "−")} dB`;
  }
  label.textContent = text;
  label.style.top = `${Math.min(Math.max(4, y - 20), stage.clientHeight - 64)}px`;
}

listen(stage, {
  pan, zoom, point, live,
  leave: () => {
    pointed = null;
    get("cursor").hidden = true;
  },
});

// ---- Frames ---------------------------------------------------------------------------------------------------------

let [turns, drawn, secondAt] = [0, 0, performance.now()];
let [slowSeconds, quickSeconds] = [0, 0];
let latencies: number[] = [];

function frame(): void {
  requestAnimationFrame(frame);
  turns += 1;
  sendView();
  const moved = canvas.draw();
  canvas.stretch(back, secondsPerPixel);
  if (moved) {
    drawn += 1;
    if (status?.latency !== null && writtenUs > 0) {
      latencies.push(performance.timeOrigin + performance.now() - writtenUs / 1000);
      if (latencies.length > 600) latencies.shift();
    }
  }
  drawBeside();
  if (moved || back !== null) moveAlong();
  const now = performance.now();
  if (now - secondAt >= 1000) second((now - secondAt) / 1000);
}

/** Once a second: figures, and whether drawing keeps up. */
function second(seconds: number): void {
  const rate = turns / seconds;
  get("fps").textContent = back === null ? String(Math.round(drawn / seconds)) : "still";
  figures.framesPerSecond = drawn / seconds;
  [turns, drawn, secondAt] = [0, 0, performance.now()];
  if (document.visibilityState === "visible") {
    tell({ type: "drawn", framesPerSecond: rate });
    judgeDrawing(rate);
  }
  const clock = lanes[0];
  if (clock) tell({ type: "overview", stream: clock.stream, columns: 600 });
  if (status) showFigures(status);
}

/** Whoever draws too slowly draws a coarser picture, and a finer one again after some good seconds. */
function judgeDrawing(rate: number): void {
  slowSeconds = rate < 24 ? slowSeconds + 1 : 0;
  quickSeconds = rate > 45 ? quickSeconds + 1 : 0;
  const before = coarse;
  if (slowSeconds >= 2 && coarse < 4) coarse *= 2;
  if (quickSeconds >= 4 && coarse > 1) coarse /= 2;
  if (coarse !== before) {
    [slowSeconds, quickSeconds] = [0, 0];
    wantView();
  }
}

function showFigures({ lost, gaps, skipped, fft, hop, quality, latency }: Status): void {
  get("latency").textContent = latency === null || back !== null ? "–" : `${Math.round(percentile(latencies, 0.5))} ms`;
  get("transform").textContent = `${fft} / ${hop}${quality > 0 || coarse > 1 ? ", coarser" : ""}`;
  const rate = streams[0]?.sample_rate_hz ?? 48_000;
  const parts = [[lost, "lost"], [gaps, "gap"], [skipped, "not drawn"]] as const;
  const some = parts.filter(([frames]) => frames > 0).map(([frames, name]) => `${(frames / rate).toFixed(frames < rate ? 3 : 1)} s ${name}`);
  if (wordsLost > 0) some.push(`${wordsLost} texts`);
  get("lost").textContent = some.join(", ") || "none";
  get("lost-figure").classList.toggle("some", some.length > 0);
}

function percentile(of: number[], part: number): number {
  const sorted = [...of].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

// ---- What the worker says -------------------------------------------------------------------------------------------

let statusNew = false;
let writtenUs = 0;
let wordsLost = 0;
const heard = new Map<number, { peak: number; missing: number }>();

function showState(): void {
  const place = get("connection");
  const ended = streams.length > 0 && streams.every((stream) => stream.state !== "live");
  const word = state === "open" ? (ended ? "ended" : streams.length === 0 ? "no stream" : "live") : state;
  place.dataset.state = word;
  place.querySelector("span")!.textContent = word === "live" ? `${lanes.length} channel${lanes.length === 1 ? "" : "s"}` : why || word;
}

let why = "";

worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
  switch (data.type) {
    case "ready":
      colourMaps = data.colourMaps;
      return;
    case "state":
      [state, why] = [data.state, data.why];
      if (state === "refused") get("empty").textContent = why;
      return showState();
    case "hello":
      first = { ...defaults(), ...fromCommandLine(data.look) };
      settings = { ...first, ...load() };
      return applySettings();
    case "streams":
      streams = data.streams;
      listStreams();
      marksWanted = true;
      return showState();
    case "ended":
      for (const [lane, name] of lanes.entries()) if (name.stream === data.stream && canvas.lanes[lane]) canvas.lanes[lane].state = data.state;
      marksWanted = true;
      return;
    case "picture":
      return pictureBegun(data);
    case "columns": {
      const picture = canvas.pictureOf(data.serial);
      if (picture) for (const columns of data.columns) picture.put(columns);
      return;
    }
    case "status":
      status = data.status;
      writtenUs = data.writtenUs;
      statusNew = true;
      return;
    case "words":
      wordsLost += data.lost;
      return words.take(data.words, data.session);
    case "overview": {
      const { from, span, rateHz, clock, peaks } = data;
      scrub.overview = { fromSeconds: from / rateHz, toSeconds: (from + span) / rateHz, clock, peaks: peaks[0] };
      return;
    }
    case "point":
      return showPoint(data);
    case "sound":
      heard.set(data.request, { peak: Math.max(0, ...data.samples.map((part) => part.reduce((most, one) => Math.max(most, Math.abs(one)), 0))), missing: data.missing });
      return void play(data.samples, data.rateHz);
    case "measured":
      figures.measured = data.microseconds;
      return;
    case "error":
      console.warn(`tympan: ${data.error}`);
      return;
  }
};

// ---- Buttons and keys -----------------------------------------------------------------------------------------------

const nextOf = (value: number, count: number) => (value + 1) % count;
const longer = (by: number) => FFTS[Math.min(FFTS.length - 1, Math.max(0, FFTS.indexOf(settings.fft) + by))];
const savePng = async () => download(await snapshot(document.querySelector("main")!), `tympan-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`);

const KEYS: Record<string, () => void> = {
  " ": () => (back === null ? pause() : live()),
  ArrowLeft: () => pan(stage.clientWidth * 0.1),
  ArrowRight: () => pan(-stage.clientWidth * 0.1),
  "+": () => zoom(0.7, stage.clientWidth / 2),
  "=": () => zoom(0.7, stage.clientWidth / 2),
  "-": () => zoom(1 / 0.7, stage.clientWidth / 2),
  Home: live,
  End: live,
  c: () => change({ colours: nextOf(settings.colours, 5) }),
  f: () => change({ scale: nextOf(settings.scale, 3) }),
  d: () => change({ theme: settings.theme === "dark" ? "light" : "dark" }),
  s: () => void savePng(),
  "[": () => change({ fft: longer(-1) }),
  "]": () => change({ fft: longer(1) }),
  ",": () => panel.toggle(),
  Escape: () => panel.toggle(false),
};

document.addEventListener("keydown", (event) => {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select")) return;
  // Space presses the button that has the focus.
  if (event.key === " " && target.matches("button")) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

get("pause").onclick = KEYS[" "];
get("live").onclick = live;
get("png").onclick = KEYS.s;
get("theme").onclick = KEYS.d;
get("reset").onclick = () => {
  forget();
  settings = { ...first };
  secondsPerPixel = 1 / settings.speed;
  applySettings();
};
new ResizeObserver(() => {
  marksWanted = true;
  wantView();
}).observe(stage);

// ---- For programs that drive this page ------------------------------------------------------------------------------

const figures = { framesPerSecond: 0, measured: 0 };

/** What is seen, as numbers. Tests and benches read it; nothing in the page does. */
Object.assign(globalThis, {
  tympan: {
    figures: () => ({
      ...figures, status, back, secondsPerPixel, coarse, shared, kind: canvas.kind, draws: canvas.draws, settled: canvas.settled && !viewWanted && canvas.serial === serial,
      latencyP50: percentile(latencies, 0.5), latencyP95: percentile(latencies, 0.95), lanes: canvas.lanes, places, names: lanes,
      words: words.list.map(({ text, stream, startSeconds }) => ({ text, stream, startSeconds })), heard: [...heard.entries()],
      end: canvas.lanes.map((_, lane) => canvas.endSeconds(lane)), settings,
    }),
    forgetLatencies: () => {
      latencies = [];
    },
    measure: (frames: number) => tell({ type: "measure", turns: frames }),
    colourMap: () => colourMaps[settings.colours],
  },
});

applySettings();
requestAnimationFrame(frame);
