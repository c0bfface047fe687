/** What page and worker say to each other. */

import type { Columns, Shape } from "./picture";
import type { Loudness, StreamInfo, WordEvent } from "./ring-client";

export interface LaneName {
  stream: string;
  channel: number;
}

/** What is drawn, and how finely. */
export interface Look {
  window: number;
  fft: number;
  hop: number;
  scale: number;
  lowHz: number;
  highHz: number;
  lowDb: number;
  highDb: number;
}

export interface View {
  serial: number;
  lanes: LaneName[];
  columns: number;
  rows: number;
  secondsPerColumn: number;
  /** Null: what is now. Otherwise so many seconds before the moment of the pause is the right edge. */
  back: number | null;
  look: Look;
}

export type ToWorker =
  | { type: "begin"; url: string; token: string | null; shared: boolean }
  | { type: "view"; view: View }
  | { type: "pause" }
  | { type: "drawn"; framesPerSecond: number }
  /** The last status was heard: a page that does not say so is away. */
  | { type: "heard" }
  | { type: "overview"; stream: string; columns: number }
  | { type: "point"; serial: number; lane: number; column: number }
  | { type: "sound"; request: number; stream: string; channels: number[]; from: number; to: number }
  | { type: "measure"; turns: number };

/** Frames of streams of one clock mean the same instants: those of a session. */
export interface LaneState {
  stream: string;
  clock: string;
  rateHz: number;
  /** Frames of a column, and the frame that column 0 begins with. */
  width: number;
  baseFrame: number;
  label: string;
  state: string;
}

export interface MeterState {
  peak: number;
  rms: number;
  held: number;
  clips: number;
}

export interface Tone {
  hz: number;
  levelDb: number;
}

export interface Status {
  meters: MeterState[];
  /** Of each pair of neighbouring channels in the view: the lower lane's place, and the correlation. */
  pairs: { lane: number; value: number }[];
  tones: Tone[][];
  /** Frames by reason, in all streams of the view, since the page was opened. */
  lost: number;
  gaps: number;
  skipped: number;
  /** 0 is what was asked for; each step is coarser. */
  quality: number;
  fft: number;
  hop: number;
  /** Part of its time that the worker computes. */
  load: number;
  /** Of the last ticks, in milliseconds: a message's frames taken in, and all that can be computed with them. */
  tickP50: number;
  tickP99: number;
  /** From the last frame's writing to the end of its computation, in milliseconds; null where that is not known. */
  latency: number | null;
  received: { bytes: number; messages: number; samples: number };
  /** The newest second of each clock, and the oldest that is in its ring. */
  clocks: Record<string, { newest: number; oldest: number }>;
}

export type FromWorker =
  | { type: "ready"; colourMaps: Uint32Array[] }
  | { type: "state"; state: string; why: string }
  | { type: "hello"; look: Record<string, unknown> }
  | { type: "streams"; streams: StreamInfo[] }
  | { type: "ended"; stream: string; state: string }
  | { type: "picture"; serial: number; shape: Shape; lanes: LaneState[]; buffer: SharedArrayBuffer | null }
  | { type: "columns"; serial: number; columns: Columns[]; writtenUs: number }
  | { type: "status"; status: Status }
  | { type: "words"; words: WordEvent[]; session: string | null; lost: number }
  | { type: "loudness"; loudness: Loudness | null }
  | { type: "overview"; stream: string; from: number; span: number; rateHz: number; peaks: Float32Array[]; clock: string }
  | { type: "point"; serial: number; lane: number; column: number; levels: Float32Array }
  | { type: "sound"; request: number; rateHz: number; samples: Float32Array[]; missing: number }
  | { type: "measured"; microseconds: number; turns: number }
  | { type: "error"; error: string };
