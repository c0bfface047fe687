/** The page: what a person sees and does. The worker computes; here is drawn. The parts are in `page/`; here they meet. */

import type { FromWorker, ToWorker } from "./messages";
import { Along } from "./page/along";
import { Beside } from "./page/beside";
import { PictureCanvas } from "./page/canvas";
import { Cursor } from "./page/cursor";
import { get, measureStage, size, stage } from "./page/dom";
import { listen } from "./page/gestures";
import { showConnection, showFigures, showLoudness } from "./page/head";
import { listenToKeys } from "./page/keys";
import { Moment } from "./page/moment";
import { Pace } from "./page/pace";
import { Panel, chosenChannels } from "./page/panel";
import {
  FFTS, type Settings, defaults, forget, fromCommandLine, listenToSystemTheme, save, systemTheme,
} from "./page/settings";
import { download, snapshot } from "./page/snapshot";
import { play } from "./page/sound";
import { begin } from "./page/state";
import { token } from "./page/token";
import { Views } from "./page/views";
import { type Word, Words } from "./page/words";

const query = new URLSearchParams(location.search);
const shared = self.crossOriginIsolated && query.get("shared") !== "no";
const state = begin();
const worker = new Worker("worker.js");
const tell = (message: ToWorker) => worker.postMessage(message);
tell({ type: "begin", url: `ws://${location.host}/ws`, token: token(), shared });

const canvas = new PictureCanvas(get<HTMLCanvasElement>("picture"), query.get("draw"));
const moment = new Moment(1 / state.settings.speed, {
  clock: () => (canvas.lanes[0] ? state.status?.clocks[canvas.lanes[0].clock] : undefined),
  paused: () => tell({ type: "pause" }),
  changed: () => {
    showMoving();
    views.want();
  },
});
const views = new Views(state, canvas, moment, tell);
const beside = new Beside(state, canvas, moment, views);
const words = new Words(get("words"), get("spoken"), hear);
const along = new Along(canvas, moment, words);
const cursor = new Cursor(state, canvas, moment, views, beside, tell);
const panel = new Panel(get("settings"), get<HTMLButtonElement>("open-settings"), change);
const pace = new Pace();

// ---- What a person does ---------------------------------------------------------------------------------------------

function live(): void {
  along.selection = null;
  moment.live();
}

function showMoving(): void {
  const paused = moment.back !== null;
  get("pause").setAttribute("aria-pressed", String(paused));
  get("pause").querySelector(".text")!.textContent = paused ? "Go on" : "Pause";
  get<HTMLButtonElement>("live").disabled = !paused;
}

/** Sounds that were asked for: the loudest sample of each, and what was missing. */
const heard = new Map<number, { peak: number; missing: number }>();
let sounds = 0;

/** Shows a word's sound and plays it. */
function hear({ stream, from, to, startSeconds, endSeconds }: Word): void {
  const rate = (to - from) / Math.max(1e-6, endSeconds - startSeconds);
  moment.centre((startSeconds + endSeconds) / 2);
  along.selection = { stream, from: startSeconds, to: endSeconds };
  const channels = state.lanes.filter((lane) => lane.stream === stream).map((lane) => lane.channel);
  const margin = Math.round(rate * 0.05);
  tell({ type: "sound", request: ++sounds, stream, channels, from: Math.max(0, from - margin), to: to + margin });
}

listen(stage, {
  live,
  pan: (pixels) => moment.pan(pixels),
  zoom: (factor, x) => moment.zoom(factor, x),
  point: (x, y) => cursor.point(x, y),
  leave: () => cursor.leave(),
});

const next = (value: number, count: number) => (value + 1) % count;
const longer = (by: number) => FFTS[Math.min(FFTS.length - 1, Math.max(0, FFTS.indexOf(state.settings.fft) + by))];
const toggle = () => (moment.back === null ? moment.pause() : live());
const closer = () => moment.zoom(0.7, size.width / 2);
const theme = () => change({ theme: state.settings.theme === "dark" ? "light" : "dark" });
async function savePng(): Promise<void> {
  download(await snapshot(document.querySelector("main")!),
    `tympan-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`);
}

listenToKeys({
  " ": toggle, Home: live, End: live, "+": closer, "=": closer, "-": () => moment.zoom(1 / 0.7, size.width / 2),
  ArrowLeft: () => moment.pan(size.width * 0.1), ArrowRight: () => moment.pan(-size.width * 0.1),
  c: () => change({ colours: next(state.settings.colours, 5) }), f: () => change({ scale: next(state.settings.scale, 3) }),
  d: theme, s: () => void savePng(), "[": () => change({ fft: longer(-1) }), "]": () => change({ fft: longer(1) }),
  ",": () => panel.toggle(), Escape: () => panel.toggle(false),
});
get("pause").onclick = toggle;
get("live").onclick = live;
get("png").onclick = () => void savePng();
get("theme").onclick = theme;
get("reset").onclick = () => {
  forget();
  state.chosen = {};
  moment.speed(state.first.speed);
  settle();
};
listenToSystemTheme(() => {
  state.first.theme = systemTheme();
  settle();
});

// ---- What is set ----------------------------------------------------------------------------------------------------

function change(changes: Partial<Settings>): void {
  state.chosen = { ...state.chosen, ...changes };
  save(changes);
  if (changes.speed) moment.speed(changes.speed);
  settle();
}

function settle(): void {
  state.settings = { ...state.first, ...state.chosen };
  applySettings();
}

function applySettings(): void {
  document.documentElement.dataset.theme = state.settings.theme;
  panel.show(state.settings);
  along.forget();
  listStreams();
  views.want();
}

function listStreams(): void {
  const { streams, settings } = state;
  const chosen = chosenChannels(streams, settings);
  const lanes = streams.flatMap(({ stream }) => (chosen.get(stream) ?? []).map((channel) => ({ stream, channel })));
  if (JSON.stringify(lanes) !== JSON.stringify(state.lanes)) {
    state.lanes = lanes;
    views.want();
  }
  beside.marksWanted = true;
  panel.channels(streams, ({ stream }) => chosen.get(stream) ?? [], ({ stream }, channel) => {
    const now = chosen.get(stream) ?? [];
    const then = now.includes(channel) ? now.filter((one) => one !== channel) : [...now, channel].sort((a, b) => a - b);
    change({ channels: { ...settings.channels, [stream]: then } });
  });
  const empty = get("empty");
  empty.hidden = lanes.length > 0;
  const nothing = streams.length === 0 ? "No stream is there yet.\nStart one with: tympan run" : "No channel is chosen.";
  empty.textContent = state.connection === "refused" ? state.why : state.connection === "open" ? nothing : "";
  showConnection(state);
}

// ---- Frames ---------------------------------------------------------------------------------------------------------

function frame(): void {
  requestAnimationFrame(frame);
  pace.turn();
  views.send();
  const moved = canvas.draw();
  canvas.stretch(moment.back, moment.secondsPerPixel);
  if (moved) pace.draw(canvas.picture?.writtenUs ?? 0);
  beside.draw();
  if (moved || moment.back !== null || along.wanted) along.move();
  second();
}

/** Once a second: figures, and whether drawing keeps up. */
function second(): void {
  const rate = pace.second();
  if (rate === null) return;
  if (document.visibilityState === "visible") {
    tell({ type: "drawn", framesPerSecond: rate });
    const coarse = pace.coarse(views.coarse, rate);
    if (coarse !== views.coarse) {
      views.coarse = coarse;
      views.want();
    }
  }
  if (state.lanes[0]) tell({ type: "overview", stream: state.lanes[0].stream, columns: 600 });
  showFigures(state, pace, moment.back === null, views.coarse);
}

// Hidden and frozen pages draw nothing.
for (const event of ["visibilitychange", "resume"]) document.addEventListener(event, () => pace.restart());

new ResizeObserver(() => {
  measureStage();
  along.forget();
  beside.marksWanted = true;
  views.want();
}).observe(stage);

// ---- What the worker says -------------------------------------------------------------------------------------------

worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
  switch (data.type) {
    case "ready":
      state.colourMaps = data.colourMaps;
      return;
    case "state":
      [state.connection, state.why] = [data.state, data.why];
      return listStreams();
    case "hello":
      state.first = { ...defaults(), ...fromCommandLine(data.look) };
      return settle();
    case "streams":
      state.streams = data.streams;
      return listStreams();
    case "ended":
      canvas.ended(data.stream, data.state);
      beside.marksWanted = true;
      return;
    case "picture":
      if (views.begun(data)) beside.marksWanted = true;
      return;
    case "columns": {
      const picture = canvas.pictureOf(data.serial);
      if (!picture) return;
      for (const columns of data.columns) picture.put(columns);
      picture.writtenUs = data.writtenUs;
      return;
    }
    case "status":
      tell({ type: "heard" });
      state.status = data.status;
      beside.statusNew = true;
      return;
    case "words":
      state.wordsLost += data.lost;
      along.wanted = true;
      return words.take(data.words, data.session);
    case "loudness":
      return showLoudness(data.loudness);
    case "overview": {
      const { from, span, rateHz, clock, peaks } = data;
      along.scrub.overview = { fromSeconds: from / rateHz, toSeconds: (from + span) / rateHz, clock, peaks: peaks[0] };
      along.wanted = true;
      return;
    }
    case "point":
      return cursor.show(data);
    case "sound": {
      const peak = Math.max(0, ...data.samples.map((part) => part.reduce((most, one) => Math.max(most, Math.abs(one)), 0)));
      heard.set(data.request, { peak, missing: data.missing });
      return void play(data.samples, data.rateHz);
    }
    case "measured":
      measured = data.microseconds;
      return;
    case "error":
      console.warn(`tympan: ${data.error}`);
      return;
  }
};

// ---- For programs that drive this page ------------------------------------------------------------------------------

let measured = 0;

/** What is seen, as numbers. Tests and benches read it; nothing in the page does. */
Object.assign(globalThis, {
  tympan: {
    figures: () => ({
      framesPerSecond: pace.framesPerSecond, measured, status: state.status, back: moment.back,
      secondsPerPixel: moment.secondsPerPixel, coarse: views.coarse, shared, kind: canvas.kind, draws: canvas.draws,
      settled: views.settled, latencyP50: pace.latency(0.5), latencyP95: pace.latency(0.95), lanes: canvas.lanes,
      places: views.places, names: state.lanes,
      words: words.list.map(({ text, stream, startSeconds }) => ({ text, stream, startSeconds })),
      partials: words.partials, heard: [...heard.entries()],
      end: canvas.lanes.map((_, lane) => canvas.endSeconds(lane)), settings: state.settings,
    }),
    forgetLatencies: () => pace.forgetLatencies(),
    measure: (turns: number) => tell({ type: "measure", turns }),
    colourMap: () => state.colourMaps[state.settings.colours],
  },
});

measureStage();
applySettings();
requestAnimationFrame(frame);
