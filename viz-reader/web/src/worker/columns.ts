/** Computes the columns of a picture, in slices, so that messages are never kept waiting. */

import type { FromWorker, LaneState, View } from "../messages";
import { type Columns, Missing, Picture } from "../picture";
import type { Busy } from "./busy";
import type { Module } from "./module";
import type { Quality } from "./quality";
import type { Streams } from "./streams";

/** A slice of computing, in milliseconds. */
const SLICE_MS = 8;
/** Columns that are computed in one call. */
const AT_ONCE = 32;
/** How far a picture of now may be behind before columns are left out and drawn as missing, in seconds. */
const BEHIND_SECONDS = 1.5;

type Say = (message: FromWorker, transfer?: Transferable[]) => void;

export class Drawing {
  view: View | null = null;
  picture: Picture | null = null;
  lanes: LaneState[] = [];
  /** Of each lane: frames whose columns were left out. */
  private readonly leftOut = new Map<number, number>();
  /** The seconds of the clocks' newest frames when it was paused. */
  private pausedAt = new Map<string, number>();
  private scheduled = false;
  /** Whether the page is away: nothing is computed, and sound is taken in as ever. */
  resting = false;
  private readonly turn = new MessageChannel();
  /** What travels in the next message, where memory is not shared. */
  private batch: Columns[] = [];

  constructor(private readonly module: Module, private readonly streams: Streams, private readonly quality: Quality,
    private readonly busy: Busy, private readonly shared: boolean, private readonly say: Say) {
    this.turn.port1.onmessage = () => {
      this.scheduled = false;
      this.compute();
    };
  }

  /** Frames whose columns were left out, of the lane that lacks most. */
  get skipped(): number {
    return Math.max(0, ...this.leftOut.values());
  }

  // ---- Views --------------------------------------------------------------------------------------------------------

  begin(view: View): void {
    this.view = view;
    this.streams.wish(view.lanes);
    this.remake();
  }

  pause(): void {
    this.pausedAt = this.streams.ends();
  }

  rest(): void {
    this.resting = true;
  }

  /** The page is there: it gets a picture anew, of what there is now. */
  goOn(): void {
    if (!this.resting) return;
    this.resting = false;
    this.remake();
  }

  /** Frames of a column: a whole number, the same for all streams of one rate. */
  private widthOf = (rateHz: number) => Math.max(1, Math.round(this.view!.secondsPerColumn * rateHz));

  /** Begins the picture anew: all of its columns are computed again. */
  remake(): void {
    const { view } = this;
    if (!view) return;
    this.applyLook();
    const ends = this.streams.ends();
    this.lanes = view.lanes.map((name) => {
      const found = this.streams.laneOf(name);
      if (!found) return { stream: name.stream, clock: `${name.stream} ?`, rateHz: 48_000, width: 1, baseFrame: 0,
        label: String(name.channel + 1), state: "waiting" };
      const [{ info, clock, state }, { channel }] = found;
      const rateHz = info.sample_rate_hz;
      const width = this.widthOf(rateHz);
      const seconds = view.back === null ? (ends.get(clock) ?? 0)
        : (this.pausedAt.get(clock) ?? ends.get(clock) ?? 0) - view.back;
      // Before the session's beginning where that was a moment ago: now is at the right edge always.
      const base = Math.floor((seconds * rateHz) / width) - view.columns;
      return { stream: name.stream, clock, rateHz, width, baseFrame: base * width,
        label: info.labels[channel] ?? String(channel + 1), state };
    });
    const shape = { lanes: this.lanes.length, columns: view.columns, rows: view.rows };
    this.picture = Picture.create(shape, this.shared);
    const buffer = this.shared ? (this.picture.buffer as SharedArrayBuffer) : null;
    this.say({ type: "picture", serial: view.serial, shape, lanes: this.lanes, buffer });
    this.schedule();
    this.fetchPast(view);
  }

  private remaking = false;

  /** As above, once for all that comes within a moment. */
  remakeSoon(): void {
    if (this.remaking) return;
    this.remaking = true;
    setTimeout(() => {
      this.remaking = false;
      this.remake();
    }, 60);
  }

  /** Tells the module how finely is computed now. */
  applyLook(): void {
    const { look, rows } = this.view!;
    const { fft, hop } = this.quality.transform(look.fft, look.hop);
    this.module.call.tv_transform(look.window, fft, hop);
    this.module.call.tv_rows(look.scale, look.lowHz, look.highHz, rows, look.lowDb, look.highDb);
  }

  /** Asks for what the picture shows of the time before this page was opened. */
  private fetchPast(view: View): void {
    for (const name of new Set(view.lanes.map((lane) => lane.stream))) {
      const { baseFrame } = this.lanes[view.lanes.findIndex((one) => one.stream === name)];
      // What was blank is there then; in another view too, that was begun meanwhile and did not ask again.
      void this.streams.fetch(name, baseFrame - view.look.fft, () => this.remakeSoon());
    }
  }

  // ---- Computing ----------------------------------------------------------------------------------------------------

  /** Computes in the next turn, when the messages that wait are taken in. */
  schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.turn.port2.postMessage(null);
  }

  /** Computes what can be, for a slice of time; goes on in the next turn where something is left. */
  private compute(): void {
    const { view, picture, batch } = this;
    if (!view || !picture || this.resting) return;
    const begin = performance.now();
    let left = false;
    for (let lane = 0; lane < this.lanes.length; lane++) left = this.columnsOf(lane, begin + SLICE_MS) || left;
    picture.writtenUs = this.streams.writtenUs;
    if (batch.length > 0) {
      const transfer = batch.flatMap(({ wave, missing, colours, dark }) => [wave, missing, colours,
        dark].flatMap((part) => (part ? [part.buffer] : [])));
      this.say({ type: "columns", serial: view.serial, columns: batch, writtenUs: this.streams.writtenUs },
        transfer as ArrayBuffer[]);
      this.batch = [];
    }
    this.busy.took(begin);
    this.busy.tick();
    if (left) this.schedule();
  }

  /** Puts columns into the picture; copies them where memory is not shared, for they are views of the module's. */
  private give(columns: Columns): void {
    this.picture!.put(columns);
    if (this.shared) return;
    const { wave, missing, colours, dark } = columns;
    this.batch.push({ ...columns, wave: wave?.slice(), missing: missing?.slice(), colours: colours?.slice(),
      dark: dark?.slice() });
  }

  /** The columns of one lane that can be computed now. True where time ran out. */
  private columnsOf(lane: number, until: number): boolean {
    const view = this.view!;
    const picture = this.picture!;
    const found = this.streams.laneOf(view.lanes[lane]);
    if (!found) return false;
    const { call } = this.module;
    const number = found[1].lane;
    const { width, baseFrame } = this.lanes[lane];
    const base = baseFrame / width;
    const total = view.back === null ? Infinity : view.columns;
    const lead = Math.min(-base, view.columns);
    if (lead > 0 && picture.waveDone(lane) === 0) this.blank(lane, 0, new Uint8Array(lead).fill(Missing.absent));
    if (view.back === null) this.leaveOut(lane, number, base);
    for (;;) {
      const first = picture.waveDone(lane);
      const count = call.tv_wave(number, base + first, Math.min(AT_ONCE * 4, total - first), width);
      if (count === 0) break;
      this.give({ lane, first, count, wave: this.module.floats(count * 3), missing: this.module.bytes(count) });
      if (performance.now() > until) return true;
    }
    for (;;) {
      const first = picture.coloursDone(lane);
      const most = Math.min(AT_ONCE, total - first, picture.waveDone(lane) - first);
      if (most <= 0) break;
      const count = call.tv_colours(number, base + first, most, width);
      if (count === 0) break;
      this.give({ lane, first, count, colours: this.module.bytes(count * view.rows),
        dark: Uint8Array.from(this.module.floats(count)) });
      if (performance.now() > until) return true;
    }
    return false;
  }

  /** Columns that have no sound, and why each of them has none. */
  private blank(lane: number, first: number, missing: Uint8Array): void {
    const count = missing.length;
    this.give({ lane, first, count, wave: new Float32Array(count * 3), missing,
      colours: new Uint8Array(count * this.view!.rows), dark: missing });
  }

  /** Leaves columns out that nobody could draw in time: they are counted, and drawn as missing. */
  private leaveOut(lane: number, number: number, base: number): void {
    const picture = this.picture!;
    const { columns } = this.view!;
    const { width, rateHz } = this.lanes[lane];
    const first = picture.coloursDone(lane);
    const newest = Math.floor(this.module.call.tv_end(number) / width) - base;
    const behind = newest - Math.max(first, newest - columns);
    // A picture that is begun is behind by all of its columns, and that is no fault.
    const begun = first >= columns - 1;
    if (!begun || behind * width < BEHIND_SECONDS * rateHz) return;
    const count = Math.min(newest - first, columns);
    const from = base + newest - count;
    const why = Uint8Array.from({ length: count }, (_, at) =>
      this.module.call.tv_missing(number, (from + at) * width, (from + at + 1) * width) || Missing.skipped);
    const skipped = why.filter((one) => one === Missing.skipped).length;
    // What is missing anyway is told as that, and is drawn without computing.
    if (count < columns && skipped * width < BEHIND_SECONDS * rateHz) return;
    this.blank(lane, newest - count, why);
    // Beyond the left edge is what is there.
    const beyond = why[0] === Missing.skipped ? newest - first - count : 0;
    this.leftOut.set(lane, (this.leftOut.get(lane) ?? 0) + (skipped + beyond) * width);
  }

  /** The age of the oldest column that waits to be computed, in milliseconds. */
  behindMs(): number {
    const { view, picture } = this;
    if (!view || !picture || view.back !== null) return 0;
    const { fft, hop } = this.quality.transform(view.look.fft, view.look.hop);
    let most = 0;
    for (let lane = 0; lane < this.lanes.length; lane++) {
      const found = this.streams.laneOf(view.lanes[lane]);
      if (!found || picture.coloursDone(lane) < view.columns - 1) continue;
      const { width, baseFrame, rateHz } = this.lanes[lane];
      const done = baseFrame + (picture.coloursDone(lane) + 1) * width + fft / 2 + hop;
      most = Math.max(most, ((this.module.call.tv_end(found[1].lane) - done) / rateHz) * 1000);
    }
    return most;
  }
}
