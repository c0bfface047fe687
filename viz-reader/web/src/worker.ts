/** The worker: samples in, columns of pictures and levels out. Computes in slices, so that messages are never kept waiting. */

import type { FromWorker, LaneName, LaneState, MeterState, Status, Tone, ToWorker, View } from "./messages";
import { Module } from "./module";
import { type Columns, Missing, Picture } from "./picture";
import { Quality } from "./quality";
import { RingClient } from "./ring-client";
import { Streams } from "./streams";

/** A slice of computing, in milliseconds. */
const SLICE_MS = 8;
/** Columns that are computed in one call. */
const AT_ONCE = 32;
/** How often levels and counts are told, in milliseconds. */
const STATUS_MS = 33;
/** How far a picture of now may be behind before columns are left out and drawn as missing, in seconds. */
const BEHIND_SECONDS = 1.5;
const TONES_FLOOR_DB = -80;
const COLOUR_MAPS = 5;

let module: Module;
let client: RingClient;
let streams: Streams;
let shared = false;
let view: View | null = null;
let picture: Picture | null = null;
let lanes: LaneState[] = [];
let skipped = 0;
let pausedAt = new Map<string, number>();
const quality = new Quality();
let framesPerSecond = 60;

const say = (message: FromWorker, transfer: Transferable[] = []) => postMessage(message, { transfer });

// ---- Computing ------------------------------------------------------------------------------------------------------

let scheduled = false;
const turn = new MessageChannel();
turn.port1.onmessage = () => {
  scheduled = false;
  compute();
};

function schedule(): void {
  if (!scheduled) {
    scheduled = true;
    turn.port2.postMessage(null);
  }
}

let busyMs = 0;
let tickMs = 0;
const ticks: number[] = [];
let tones: Tone[][] = [];

/** Computes what can be, for a slice of time; goes on in the next turn where something is left. */
function compute(): void {
  if (!view || !picture) return;
  const begin = performance.now();
  const batch: Columns[] = [];
  let left = false;
  for (let lane = 0; lane < lanes.length; lane++) {
    left = columnsOf(lane, begin + SLICE_MS, batch) || left;
  }
  if (batch.length > 0 && !shared) {
    const transfer = batch.flatMap(({ wave, missing, colours, dark }) => [wave, missing, colours, dark].flatMap((part) => (part ? [part.buffer] : [])));
    say({ type: "columns", serial: view.serial, columns: batch }, transfer as ArrayBuffer[]);
  }
  const took = performance.now() - begin;
  busyMs += took;
  tickMs += took;
  if (left) schedule();
}

/** The columns of one lane that can be computed now. True where time ran out. */
function columnsOf(lane: number, until: number, batch: Columns[]): boolean {
  const name = view!.lanes[lane];
  const found = streams.laneOf(name);
  if (!found) return false;
  const { call } = module;
  const number = found[1].lane;
  const { width, baseFrame } = lanes[lane];
  const base = baseFrame / width;
  const total = view!.back === null ? Infinity : view!.columns;
  const give = (columns: Columns) => {
    picture!.put(columns);
    if (!shared) batch.push(columns);
  };
  const lead = Math.min(-base, view!.columns);
  if (lead > 0 && picture!.waveDone(lane) === 0) {
    const missing = new Uint8Array(lead).fill(Missing.absent);
    give({ lane, first: 0, count: lead, wave: new Float32Array(lead * 3), missing, colours: new Uint8Array(lead * view!.rows), dark: missing.slice() });
  }
  if (view!.back === null) leaveOut(lane, number, base, give);
  for (;;) {
    const first = picture!.waveDone(lane);
    const count = call.tv_wave(number, base + first, Math.min(AT_ONCE * 4, total - first), width);
    if (count === 0) break;
    give({ lane, first, count, wave: module.floats(count * 3).slice(), missing: module.bytes(count).slice() });
    if (performance.now() > until) return true;
  }
  for (;;) {
    const first = picture!.coloursDone(lane);
    const most = Math.min(AT_ONCE, total - first, picture!.waveDone(lane) - first);
    if (most <= 0) break;
    const count = call.tv_colours(number, base + first, most, width);
    if (count === 0) break;
    give({ lane, first, count, colours: module.bytes(count * view!.rows).slice(), dark: Uint8Array.from(module.floats(count)) });
    if (performance.now() > until) return true;
  }
  return false;
}

/** Leaves columns out that nobody could draw in time: they are counted, and drawn as missing. */
function leaveOut(lane: number, number: number, base: number, give: (columns: Columns) => void): void {
  const { width, rateHz } = lanes[lane];
  const newest = Math.floor(module.call.tv_end(number) / width) - base;
  const behind = newest - Math.max(picture!.coloursDone(lane), newest - view!.columns);
  // A picture that is begun is behind by all of its columns, and that is no fault.
  const begun = picture!.coloursDone(lane) >= view!.columns - 1;
  if (!begun || behind * width < BEHIND_SECONDS * rateHz) return;
  const first = picture!.coloursDone(lane);
  const count = Math.min(newest - first, view!.columns);
  const from = newest - count;
  const missing = new Uint8Array(count).fill(Missing.skipped);
  const wave = new Float32Array(count * 3);
  give({ lane, first: from, count, wave, missing, colours: new Uint8Array(count * view!.rows), dark: missing.slice() });
  skipped += (newest - first) * width;
}

// ---- Views ----------------------------------------------------------------------------------------------------------

/** Frames of a column: a whole number, the same for all streams of one rate. */
const widthOf = (rateHz: number) => Math.max(1, Math.round(view!.secondsPerColumn * rateHz));

function begin(next: View): void {
  view = next;
  streams.wish(view.lanes);
  remake();
}

/** Begins the picture anew: all of its columns are computed again. */
function remake(): void {
  if (!view) return;
  applyLook();
  const ends = new Map<string, number>();
  for (const stream of streams.all.values()) {
    const end = streams.end(stream);
    ends.set(stream.clock, Math.max(ends.get(stream.clock) ?? 0, end));
  }
  lanes = view.lanes.map((name) => {
    const found = streams.laneOf(name);
    if (!found) return { clock: `${name.stream} ?`, rateHz: 48_000, width: 1, baseFrame: 0, label: String(name.channel + 1), state: "waiting" };
    const [stream, { channel }] = found;
    const { info, clock } = stream;
    const width = widthOf(info.sample_rate_hz);
    let end = ends.get(clock) ?? 0;
    if (view!.back !== null) {
      end = (pausedAt.get(clock) ?? end / info.sample_rate_hz) * info.sample_rate_hz - view!.back * info.sample_rate_hz;
    }
    // Before the session's beginning where that was a moment ago: now is at the right edge always.
    const base = Math.floor(end / width) - view!.columns;
    return { clock, rateHz: info.sample_rate_hz, width, baseFrame: base * width, label: info.labels[channel] ?? String(channel + 1), state: stream.state };
  });
  const shape = { lanes: lanes.length, columns: view.columns, rows: view.rows };
  picture = Picture.create(shape, shared);
  say({ type: "picture", serial: view.serial, shape, lanes, buffer: shared ? (picture.buffer as SharedArrayBuffer) : null });
  schedule();
  fetchPast();
}

function applyLook(): void {
  const { look, rows } = view!;
  const { fft, hop } = quality.transform(look.fft, look.hop);
  module.call.tv_transform(look.window, fft, hop);
  module.call.tv_rows(look.scale, look.lowHz, look.highHz, rows, look.lowDb, look.highDb);
}

/** Asks for what the picture shows of the time before this page was opened. */
function fetchPast(): void {
  const serial = view!.serial;
  for (const name of new Set(view!.lanes.map((lane) => lane.stream))) {
    const lane = view!.lanes.findIndex((one) => one.stream === name);
    const { baseFrame } = lanes[lane];
    void streams.fetch(name, baseFrame - view!.look.fft, () => {
      // What was blank is there now.
      if (view?.serial === serial) remakeSoon();
    });
  }
}

let remaking = false;
function remakeSoon(): void {
  if (remaking) return;
  remaking = true;
  setTimeout(() => {
    remaking = false;
    remake();
  }, 60);
}

// ---- What is told ---------------------------------------------------------------------------------------------------

let lastStatus = performance.now();
let lastTones = 0;
let load = 0;

function status(): void {
  const now = performance.now();
  const elapsed = now - lastStatus;
  lastStatus = now;
  load += (Math.min(1, busyMs / Math.max(1, elapsed)) - load) * Math.min(1, elapsed / 300);
  busyMs = 0;
  if (tickMs > 0) {
    ticks.push(tickMs);
    if (ticks.length > 600) ticks.shift();
    tickMs = 0;
  }
  if (!view || !picture) return;
  if (quality.judge(now, load, view.back === null ? behindMs() : 0, framesPerSecond)) applyLook();
  if (now - lastTones > 120) {
    lastTones = now;
    tones = lanes.map((_, lane) => tonesAt(lane, picture!.coloursDone(lane)));
  }
  const all = [...streams.all.values()];
  const meters = view.lanes.map(meterOf);
  const pairs = view.lanes.flatMap(({ stream, channel }, lane) => {
    const pair = streams.all.get(stream)?.pairs.find((one) => one.right === channel);
    return pair ? [{ lane, value: pair.value }] : [];
  });
  const clocks: Status["clocks"] = {};
  for (const stream of all) {
    const rate = stream.info.sample_rate_hz;
    const newest = Math.max(clocks[stream.clock]?.newest ?? 0, streams.end(stream) / rate);
    clocks[stream.clock] = { newest, oldest: Math.max(stream.info.first_frame / rate, newest - stream.info.capacity_frames / rate) };
  }
  const sorted = [...ticks].sort((a, b) => a - b);
  say({
    type: "status",
    writtenUs: streams.writtenUs,
    status: {
      meters, pairs, tones, clocks, load,
      lost: all.reduce((sum, stream) => sum + stream.lost, 0),
      gaps: all.reduce((sum, stream) => sum + stream.gaps, 0),
      skipped,
      quality: quality.step,
      ...quality.transform(view.look.fft, view.look.hop),
      tickP99: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
      latency: streams.writtenUs ? performance.timeOrigin + performance.now() - streams.writtenUs / 1000 : null,
      received: { ...client.received },
    },
  });
}

/** The age of the oldest column that waits to be computed. */
function behindMs(): number {
  let most = 0;
  for (let lane = 0; lane < lanes.length; lane++) {
    const found = streams.laneOf(view!.lanes[lane]);
    if (!found || picture!.coloursDone(lane) < view!.columns - 1) continue;
    const { width, baseFrame, rateHz } = lanes[lane];
    const { fft, hop } = quality.transform(view!.look.fft, view!.look.hop);
    const done = baseFrame + (picture!.coloursDone(lane) + 1) * width + fft / 2 + hop;
    most = Math.max(most, ((module.call.tv_end(found[1].lane) - done) / rateHz) * 1000);
  }
  return most;
}

function tonesAt(lane: number, column: number): Tone[] {
  const found = streams.laneOf(view!.lanes[lane]);
  if (!found) return [];
  const { baseFrame, width } = lanes[lane];
  // Around frames that are all there: half of a tone would look softer.
  const { fft } = quality.transform(view!.look.fft, view!.look.hop);
  const centre = Math.min(baseFrame + column * width, module.call.tv_end(found[1].lane) - fft / 2);
  const count = module.call.tv_tones(found[1].lane, Math.max(0, centre), TONES_FLOOR_DB, 3);
  const numbers = module.floats(count * 2).slice();
  return Array.from({ length: count }, (_, tone) => ({ hz: numbers[tone * 2], levelDb: numbers[tone * 2 + 1] }));
}

const metered = new Map<number, { end: number; meter: MeterState }>();

/** A lane's levels; what they were last where nothing came since. A stream that has ended has none. */
function meterOf(name: LaneName): MeterState {
  const silent = { peak: 0, rms: 0, held: 0, clips: 0 };
  const found = streams.laneOf(name);
  if (!found || found[0].state !== "live") return silent;
  const { lane } = found[1];
  const end = module.call.tv_end(lane);
  const last = metered.get(lane);
  if (last?.end === end) return last.meter;
  if (module.call.tv_meter(lane) === 0) return silent;
  const [peak, rms, held, clips] = module.floats(4);
  metered.set(lane, { end, meter: { peak, rms, held, clips } });
  return { peak, rms, held, clips };
}

function pause(): void {
  pausedAt = new Map();
  for (const stream of streams.all.values()) {
    const seconds = streams.end(stream) / stream.info.sample_rate_hz;
    pausedAt.set(stream.clock, Math.max(pausedAt.get(stream.clock) ?? 0, seconds));
  }
}

// ---- Messages -------------------------------------------------------------------------------------------------------

async function start(url: string, token: string | null): Promise<void> {
  module = await Module.load("tympan.wasm");
  client = new RingClient(url, token, {
    state: (state, why) => {
      if (state === "connecting") streams?.broke();
      say({ type: "state", state, why });
    },
    hello: (look) => say({ type: "hello", look }),
    streams: (list) => say({ type: "streams", streams: list }),
    epoch: (info) => {
      if (streams.epoch(info)) remakeSoon();
    },
    frames: (frames) => {
      const begin = performance.now();
      streams.live(frames);
      const took = performance.now() - begin;
      busyMs += took;
      tickMs += took;
      schedule();
    },
    ended: (name, state) => {
      const stream = streams.all.get(name);
      if (stream) stream.state = state;
      say({ type: "ended", stream: name, state });
    },
    words: (words, session, lost) => say({ type: "words", words, session, lost }),
    error: (error) => say({ type: "error", error }),
  });
  streams = new Streams(module, client);
  setInterval(status, STATUS_MS);
  say({ type: "ready", colourMaps: Array.from({ length: COLOUR_MAPS }, (_, map) => module.colourMap(map)) });
}

async function overview(name: string, columns: number): Promise<void> {
  const stream = streams?.all.get(name);
  if (!stream) return;
  const end = streams.end(stream);
  const from = Math.max(stream.info.first_frame, end - stream.info.capacity_frames);
  if (end <= from) return;
  try {
    const channel = stream.channels[0]?.channel ?? 0;
    const answer = await client.overview(name, from, end, columns, [channel]);
    const peaks = answer.samples.map((part) => part.slice());
    say({ type: "overview", stream: name, from, span: answer.span, rateHz: answer.sampleRateHz, peaks, clock: stream.clock });
  } catch {
    // It comes again in a second.
  }
}

async function sound(request: number, name: string, channels: number[], from: number, to: number): Promise<void> {
  const stream = streams.all.get(name);
  if (!stream) return;
  const wished = stream.channels.filter(({ channel }) => channels.includes(channel));
  const missing = () => Math.max(0, ...wished.map(({ lane }) => module.call.tv_missing(lane, from, to)));
  if (missing() === Missing.absent) await streams.fetch(name, from, () => {});
  const samples = wished.map(({ lane }) => module.floats(module.call.tv_samples(lane, from, to - from)).slice());
  say({ type: "sound", request, rateHz: stream.info.sample_rate_hz, samples, missing: missing() });
}

/** How long a frame of the transform takes, for the bench. */
function measure(turns: number): void {
  const lane = module.call.tv_lane_new(48_000, 48_000);
  const noise = Float32Array.from({ length: 48_000 }, () => Math.random() - 0.5);
  module.input([noise]);
  module.call.tv_put(lane, 0, 0, noise.length, 0);
  const begin = performance.now();
  for (let turn = 0; turn < turns; turn++) module.call.tv_spectrum(lane, 24_000);
  const microseconds = ((performance.now() - begin) * 1000) / turns;
  module.call.tv_lane_free(lane);
  say({ type: "measured", microseconds, turns });
}

onmessage = ({ data }: MessageEvent<ToWorker>) => {
  switch (data.type) {
    case "begin":
      shared = data.shared;
      start(data.url, data.token).catch((error) => say({ type: "error", error: `the module does not start: ${error}` }));
      return;
    case "view":
      return begin(data.view);
    case "pause":
      return pause();
    case "drawn":
      framesPerSecond = data.framesPerSecond;
      return;
    case "overview":
      return void overview(data.stream, data.columns);
    case "point": {
      const found = view && streams.laneOf(view.lanes[data.lane]);
      if (!found || view?.serial !== data.serial) return;
      const { baseFrame, width } = lanes[data.lane];
      const levels = module.floats(module.call.tv_spectrum(found[1].lane, baseFrame + (data.column + 0.5) * width)).slice();
      say({ type: "point", serial: data.serial, lane: data.lane, column: data.column, levels, tones: tonesAt(data.lane, data.column) });
      return;
    }
    case "sound":
      return void sound(data.request, data.stream, data.channels, data.from, data.to);
    case "measure":
      return measure(data.turns);
  }
};
