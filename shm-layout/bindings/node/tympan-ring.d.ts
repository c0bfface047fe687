/** Where the writer keeps the least and the greatest sample of every `binFrames` frames. */
export interface Overview {
  readonly bins: number;
  readonly binFrames: number;
  readonly offset: number;
  readonly strideBytes: number;
}

/** What never changes in a ring's life. */
export interface Info {
  readonly stream: string;
  /** A UUID. */
  readonly session: string;
  readonly epoch: number;
  readonly previousEpoch: number | undefined;
  readonly sampleRateHz: number;
  /** 1 to 64. */
  readonly channels: number;
  readonly capacityFrames: number;
  readonly firstFrame: number;
  readonly writerPid: number;
  /** Clock ticks since boot: a pid alone is used again. */
  readonly writerStartTime: number;
  /** What each channel is; empty when nobody said. */
  readonly labels: readonly string[];
  readonly overview: Overview | undefined;
  readonly strideBytes: number;
  readonly dataOffset: number;
  readonly tableOffset: number;
  readonly tableEntries: number;
  readonly tableEntryBytes: number;
}

/** Frames `from` to `to` (not included). */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Frames that were never captured: zeros. `cause` is in the writer's numbering. */
export interface Gap extends Span {
  readonly cause: number;
}

export type State = "live" | "closed" | "crashed";
export type AttachErrorKind = "missing" | "io" | "untrusted" | "version" | "feature" | "malformed";
export type ReadErrorKind = "lost" | "not_yet" | "before_first";

/** Anything this module throws about a ring. */
export class RingError extends Error {
  readonly kind: AttachErrorKind | ReadErrorKind;
}

/** The file is not a ring that can be read. */
export class AttachError extends RingError {
  readonly kind: AttachErrorKind;
}

/** The frames cannot be read: `lost` (go on at `to`), `not_yet` (those before `to` are there) or `before_first` (the
 * ring begins at `to`). */
export class ReadError extends RingError {
  readonly kind: ReadErrorKind;
  readonly from: number;
  readonly to: number;
}

export interface RingOptions {
  /** How often a wait looks, in milliseconds; 5 unless told otherwise. */
  pollMs?: number;
}

/** How a wait ended; `commit` is one past the newest frame. */
export interface Waited {
  readonly what: "ready" | "closed" | "crashed" | "timed out";
  readonly commit: number;
}

/** One ring, opened. */
export class Ring {
  /** @throws {AttachError} */
  constructor(path: string, options?: RingOptions);
  /** Attaches to the newest epoch of a stream, or to the one that `options.epoch` names. */
  static ofStream(folder: string, stream: string, options?: RingOptions & { epoch?: number }): Ring;
  readonly path: string;
  readonly info: Info;
  /** One past the newest frame that can be read. */
  readonly commit: number;
  /** The oldest frame worth asking for. */
  readonly oldest: number;
  readonly state: State;
  /** Frames of this epoch that were never captured, so far. */
  readonly gapFrames: number;
  /**
   * Frames `position` to `position + frames`, planar: channel `c` is `samples.subarray(c * frames, (c + 1) * frames)`.
   * @throws {ReadError} what `planar` holds then means nothing
   */
  read(position: number, frames: number, planar?: Float32Array): Float32Array;
  /** The newest frames, and the position of the first. @throws {ReadError} */
  newest(frames: number, planar?: Float32Array): { from: number; planar: Float32Array };
  /** Until a frame at or after `beyond` can be read, the ring ends, or the time is over. */
  wait(beyond: number, timeoutMs: number): Promise<Waited>;
  /** The gaps that touch frames `from` to `to`, oldest first. */
  gaps(from?: number, to?: number): Gap[];
  /** When a frame was committed, in nanoseconds of CLOCK_MONOTONIC, or with `wall` since 1970. */
  timeOf(frame: number, options?: { wall?: boolean }): bigint | undefined;
  close(): void;
}

/** What came next in a stream. */
export type FollowEvent =
  | { readonly kind: "frames"; readonly from: number; readonly frames: number; readonly planar: Float32Array }
  | { readonly kind: "lost"; readonly from: number; readonly to: number }
  | { readonly kind: "new epoch"; readonly info: Info; readonly gap: Span | undefined }
  | { readonly kind: "closed" | "crashed"; readonly at: number }
  | { readonly kind: "waiting" };

export interface FollowerOptions extends RingOptions {
  /** 4,800 unless told otherwise. */
  framesMax?: number;
  /** For meters and pictures: loses more when late, and is on time again. */
  newestWhenLapped?: boolean;
}

/** A position in a stream, through all its epochs. */
export class Follower implements AsyncIterable<FollowEvent> {
  /** Begins at the oldest frame of the stream's newest ring, as soon as there is one. */
  constructor(folder: string, stream: string, options?: FollowerOptions);
  readonly ring: Ring | undefined;
  /** The frame that comes next. */
  position: number;
  /** The next thing that happened, waiting up to `timeoutMs` (1,000 unless told otherwise) for it. */
  next(timeoutMs?: number): Promise<FollowEvent>;
  [Symbol.asyncIterator](): AsyncIterator<FollowEvent>;
  close(): void;
}
