/** The worker: samples in, columns of pictures and levels out. Here is who hears what; the work is in `worker/`. */

import type { FromWorker, Status, ToWorker, Tone } from "./messages";
import { RingClient } from "./ring-client";
import { measure, overview, sound } from "./worker/answers";
import { Busy } from "./worker/busy";
import { Drawing } from "./worker/columns";
import { Levels } from "./worker/levels";
import { Module } from "./worker/module";
import { Quality } from "./worker/quality";
import { Streams } from "./worker/streams";

/** How often levels and counts are told, in milliseconds; and tones, which cost a transform each. */
const STATUS_MS = 33;
const TONES_MS = 120;
/** A page that has not heard a status for so long is away, in milliseconds: frozen, as nobody looks. */
const AWAY_MS = 3_000;
const COLOUR_MAPS = 5;

let module: Module;
let client: RingClient;
let streams: Streams;
let drawing: Drawing;
let levels: Levels;
const quality = new Quality();
const busy = new Busy();
/** What the page draws. */
let framesPerSecond = 60;
let tones: Tone[][] = [];
let tonesAt = 0;
/** When the last status was told, while the page has not heard it. Else what is told would pile up before a frozen page. */
let unheardSince: number | null = null;

const say = (message: FromWorker, transfer: Transferable[] = []) => postMessage(message, { transfer });
const tell = (message: FromWorker | null) => message && say(message);

async function start(url: string, token: string | null, shared: boolean): Promise<void> {
  module = await Module.load("tympan.wasm");
  client = new RingClient(url, token, {
    state: (state, why) => {
      if (state === "connecting") streams?.broke();
      say({ type: "state", state, why });
    },
    hello: (look) => say({ type: "hello", look }),
    streams: (list) => say({ type: "streams", streams: list }),
    epoch: (info) => {
      if (streams.epoch(info)) drawing.remakeSoon();
      // What was lost is told before it is drawn.
      if (!drawing.resting) tellStatus();
    },
    frames: (frames) => {
      const begin = performance.now();
      streams.live(frames);
      busy.took(begin);
      drawing.schedule();
    },
    ended: (name, state) => {
      const stream = streams.all.get(name);
      if (stream) stream.state = state;
      say({ type: "ended", stream: name, state });
    },
    words: (words, session, lost) => say({ type: "words", words, session, lost }),
    loudness: (loudness) => drawing.resting || say({ type: "loudness", loudness }),
    error: (error) => say({ type: "error", error }),
  });
  streams = new Streams(module, client);
  drawing = new Drawing(module, streams, quality, busy, shared, say);
  levels = new Levels(module, streams);
  setInterval(status, STATUS_MS);
  say({ type: "ready", colourMaps: Array.from({ length: COLOUR_MAPS }, (_, map) => module.colourMap(map)) });
}

/** Says how it goes where the page listens, and computes more coarsely or finely where that is called for. */
function status(): void {
  const now = performance.now();
  busy.judge(now);
  const { view, picture } = drawing;
  if (!view || !picture || drawing.resting) return;
  if (unheardSince !== null && now - unheardSince > AWAY_MS) return drawing.rest();
  if (quality.judge(now, busy.load, drawing.behindMs(), framesPerSecond)) drawing.applyLook();
  if (unheardSince === null) tellStatus();
}

function tellStatus(): void {
  const now = performance.now();
  const { view, picture, lanes, skipped } = drawing;
  if (!view || !picture) return;
  unheardSince ??= now;
  const transform = quality.transform(view.look.fft, view.look.hop);
  if (now - tonesAt > TONES_MS) {
    tonesAt = now;
    tones = lanes.map(({ baseFrame, width }, lane) => levels.tones(view.lanes[lane],
      baseFrame + picture.coloursDone(lane) * width, transform.fft));
  }
  const clocks: Status["clocks"] = {};
  let [lost, gaps] = [0, 0];
  const ends = streams.ends();
  for (const { info, clock, lost: own, gaps: silent } of streams.all.values()) {
    const newest = ends.get(clock) ?? 0;
    clocks[clock] = { newest, oldest: Math.max(info.first_frame,
      newest * info.sample_rate_hz - info.capacity_frames) / info.sample_rate_hz };
    lost += own;
    gaps += silent;
  }
  const { load, tickP50, tickP99 } = busy;
  const latency = streams.writtenUs ? performance.timeOrigin + now - streams.writtenUs / 1000 : null;
  say({
    type: "status",
    status: {
      meters: view.lanes.map((name) => levels.meter(name)), pairs: levels.pairs(view.lanes), tones, clocks, lost, gaps, skipped,
      quality: quality.step, ...transform, load, tickP50, tickP99, latency, received: { ...client.received },
    },
  });
}

onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.type) {
    case "begin":
      start(data.url, data.token, data.shared).catch((error) => say({ type: "error",
        error: `the module does not start: ${error}` }));
      return;
    case "view":
      return drawing.begin(data.view);
    case "pause":
      return drawing.pause();
    case "heard":
      unheardSince = null;
      return drawing.goOn();
    case "drawn":
      framesPerSecond = data.framesPerSecond;
      return;
    case "overview":
      return void overview(streams, client, data.stream, data.columns).then(tell);
    case "point": {
      const { serial, lane, column } = data;
      const found = drawing.view?.serial === serial && streams.laneOf(drawing.view.lanes[lane]);
      if (!found) return;
      const { baseFrame, width } = drawing.lanes[lane];
      const levels = module.floats(module.call.tv_spectrum(found[1].lane, baseFrame + (column + 0.5) * width)).slice();
      return say({ type: "point", serial, lane, column, levels });
    }
    case "sound":
      return void sound(streams, module, data.request, data.stream, data.channels, data.from, data.to).then(tell);
    case "measure":
      return say(measure(module, data.turns));
  }
};
