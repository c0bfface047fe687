/**
 * A client of `tympan viz --web`: new frames of rings, frames of the past, overviews, live words.
 *
 * It stands alone: it needs WebSocket and nothing else of this page, and runs in a page, a worker or a program. README.md
 * beside it shows how to use it, and has the tables of the messages.
 *
 * Frames are counted from the beginning of a session; numbers up to 2^53 are exact, which is 5,900 years at 48 kHz.
 */

/** Why frames are missing. */
export const enum Why {
  /** Never captured: zeros in the ring. */
  Gap = 1,
  /** The server, or the way here, was too slow for them. */
  Lost = 2,
  /** Overwritten before they were asked for. */
  Overwritten = 3,
  /** Not written yet when they were asked for. */
  Later = 4,
}

/** Frames `from..to` (the last one not included) that are missing. */
export interface Span {
  from: number;
  to: number;
  why: Why;
}

/** A stream that can be subscribed to. */
export interface StreamInfo {
  id: number;
  stream: string;
  /** Frames of streams of one session mean the same instants. Null where a ring has none. */
  session: string | null;
  epoch: number;
  sample_rate_hz: number;
  channels: number;
  labels: string[];
  capacity_frames: number;
  oldest_frame: number;
  newest_frame: number;
  state: "live" | "closed" | "crashed";
}

/** A ring was entered: what follows of this stream is of it. */
export interface EpochInfo {
  stream: string;
  id: number;
  epoch: number;
  session: string | null;
  /** Tells the ring's file from others. Null where that is not known. */
  file: string | null;
  sample_rate_hz: number;
  channels: number;
  labels: string[];
  first_frame: number;
  capacity_frames: number;
  /** The frame that comes next, be it there or missing. */
  at: number;
}

/** Samples, or minima and maxima. */
export interface Frames {
  kind: "live" | "frames" | "overview";
  stream: string;
  epoch: number;
  /** The first frame. */
  first: number;
  /** Samples of each channel; of an overview, columns. */
  count: number;
  /** Frames that all of it is of: `count`, but of an overview. */
  span: number;
  sampleRateHz: number;
  /** Which channel each of `samples` is. */
  channels: number[];
  /** One array for each channel, of `count` samples (of an overview of `2 * count`: minimum and maximum of each column). */
  samples: Float32Array[];
  /** What is missing in and before them. */
  missing: Span[];
  /** When the last frame was written, in microseconds since 1970, on the server's clock; 0 where that is not known. */
  writtenUs: number;
}

/** One word or text of a running instance, as `tympan run --json` prints it. */
export type WordEvent = Record<string, unknown> & { event: string; stream?: string };

/**
 * How loud the mix of a running instance is, after EBU R128, in LUFS, and its true peak in dBTP; null where there is none
 * yet.
 */
export interface Loudness {
  momentary_lufs: number | null;
  short_term_lufs: number | null;
  /** Since the run began, or was told to count anew. */
  integrated_lufs: number | null;
  range_lu: number | null;
  /** The greatest since then. */
  true_peak_dbtp: number | null;
}

export interface Handlers {
  /** Connected, or not any more. */
  state?(state: "connecting" | "open" | "refused", why: string): void;
  /** The first message of the server: how it wants the page to look. */
  hello?(look: Record<string, unknown>): void;
  streams?(streams: StreamInfo[]): void;
  epoch?(epoch: EpochInfo): void;
  frames?(frames: Frames): void;
  ended?(stream: string, state: string, at: number): void;
  /** `session`: whose frames they are in; `lost`: texts that were missed before them. */
  words?(words: WordEvent[], session: string | null, lost: number): void;
  /** Some times a second while an instance runs that has a mix; null when there is none any more. */
  loudness?(loudness: Loudness | null): void;
  error?(error: string): void;
}

/** Bytes before the spans, and of a span: `web/README.md`. */
const HEAD = 64;
const SPAN = 24;
const KINDS = { 1: "live", 2: "frames", 3: "overview" } as const;

/** Reads a binary message. Throws where it is none. `names` tells a stream by its number. */
export function decode(buffer: ArrayBuffer, names: Map<number, string>): { frames: Frames; request: number } {
  const view = new DataView(buffer);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  if (buffer.byteLength < HEAD) throw new Error(`a message of ${buffer.byteLength} bytes has no head`);
  const kind = KINDS[view.getUint16(0, true) as 1 | 2 | 3];
  const stream = names.get(view.getUint32(4, true));
  if (!kind || stream === undefined) throw new Error("a message of another version, or of an unknown stream");
  const spans = view.getUint16(2, true);
  const missing: Span[] = [];
  for (let at = HEAD; at < HEAD + spans * SPAN; at += SPAN) {
    missing.push({ from: u64(at), to: u64(at + 8), why: view.getUint32(at + 16, true) as Why });
  }
  const channels: number[] = [];
  for (let channel = 0; channel < 64; channel++) {
    if ((view.getUint32(32 + (channel >> 5) * 4, true) >>> (channel & 31)) & 1) channels.push(channel);
  }
  const count = view.getUint32(24, true);
  const each = kind === "overview" ? 2 * count : count;
  const begin = HEAD + spans * SPAN;
  if (buffer.byteLength !== begin + each * channels.length * 4) throw new Error("a message of another length than it says");
  const samples = channels.map((_, place) => new Float32Array(buffer, begin + place * each * 4, each));
  const frames: Frames = {
    kind, stream, epoch: u64(8), first: u64(16), count, span: u64(48), sampleRateHz: view.getUint32(28, true),
    channels, samples, missing, writtenUs: u64(40),
  };
  return { frames, request: view.getUint32(56, true) };
}

/** A connection that is made again when it breaks, with all subscriptions. */
export class RingClient {
  private socket: WebSocket | null = null;
  private readonly names = new Map<number, string>();
  private readonly subscriptions = new Map<string, number[] | null>();
  private readonly waiting = new Map<number, { done(frames: Frames): void; failed(why: Error): void }>();
  private next = 1;
  private pauseMs = 250;
  private closed = false;
  /** Bytes and messages that came, and samples in them. */
  readonly received = { bytes: 0, messages: 0, samples: 0 };

  /** `url`: `ws://HOST:PORT/ws`. `token`: what stands behind `#token=` in the address, where the server wants one. */
  constructor(private readonly url: string, private readonly token: string | null, private readonly on: Handlers) {
    this.connect();
  }

  /** Wishes new frames of a stream from now on; of these channels, counted from 0, or of all. */
  subscribe(stream: string, channels: number[] | null = null): void {
    this.subscriptions.set(stream, channels);
    this.send({ type: "subscribe", stream, channels });
  }

  unsubscribe(stream: string): void {
    if (this.subscriptions.delete(stream)) this.send({ type: "unsubscribe", stream });
  }

  /** Frames `from..to` of the past. What is not there any more is zeros, and stands in `missing`. */
  frames(stream: string, from: number, to: number, channels: number[] | null = null): Promise<Frames> {
    return this.ask({ type: "frames", stream, from, to, channels });
  }

  /** Least and greatest samples of so many columns of equal width. */
  overview(stream: string, from: number, to: number, columns: number, channels: number[] | null = null): Promise<Frames> {
    return this.ask({ type: "overview", stream, from, to, columns, channels });
  }

  close(): void {
    this.closed = true;
    this.socket?.close();
  }

  private ask(question: Record<string, unknown>): Promise<Frames> {
    return new Promise((done, failed) => {
      const request = this.next++ % 0xffff_ffff;
      this.waiting.set(request, { done, failed });
      if (!this.send({ ...question, request })) this.fail(request, "not connected");
    });
  }

  private fail(request: number, why: string): void {
    this.waiting.get(request)?.failed(new Error(why));
    this.waiting.delete(request);
  }

  private send(message: unknown): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  private connect(): void {
    this.on.state?.("connecting", "");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (this.token) this.send({ type: "token", token: this.token });
      for (const [stream, channels] of this.subscriptions) this.send({ type: "subscribe", stream, channels });
    };
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.text(data) : this.binary(data));
    socket.onclose = ({ code, reason }) => {
      for (const request of [...this.waiting.keys()]) this.fail(request, "the connection broke");
      if (this.closed) return;
      // 1008: it was told why it may not listen; asking again is no help.
      if (code === 1008) return this.on.state?.("refused", reason);
      this.on.state?.("connecting", reason);
      setTimeout(() => this.connect(), this.pauseMs);
      this.pauseMs = Math.min(this.pauseMs * 2, 4000);
    };
  }

  private text(data: string): void {
    const message = JSON.parse(data);
    switch (message.type) {
      case "hello":
        this.pauseMs = 250;
        this.on.state?.("open", "");
        return this.on.hello?.(message.look);
      case "streams":
        for (const { id, stream } of message.streams) this.names.set(id, stream);
        return this.on.streams?.(message.streams);
      case "epoch":
        this.names.set(message.id, message.stream);
        return this.on.epoch?.(message);
      case "ended":
        return this.on.ended?.(message.stream, message.state, message.at);
      case "gone":
        return this.on.ended?.(message.stream, "gone", 0);
      case "words":
        return this.on.words?.(message.words, message.session, message.lost);
      case "loudness":
        return this.on.loudness?.(message.loudness);
      case "error":
        if (message.request) this.fail(message.request, message.error);
        return this.on.error?.(message.error);
    }
  }

  private binary(data: ArrayBuffer): void {
    const { frames, request } = decode(data, this.names);
    this.received.bytes += data.byteLength;
    this.received.messages += 1;
    this.received.samples += frames.kind === "live" ? frames.count * frames.channels.length : 0;
    if (frames.kind === "live") return this.on.frames?.(frames);
    this.waiting.get(request)?.done(frames);
    this.waiting.delete(request);
  }
}
