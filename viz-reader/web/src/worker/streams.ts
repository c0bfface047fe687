/** The channels that the page looks at: their samples go from the ring client into the module's lanes. */

import type { LaneName } from "../messages";
import type { Module } from "./module";
import { Missing } from "../picture";
import { type EpochInfo, type Frames, type RingClient, Why } from "../ring-client";

/** Memory for the histories of all lanes, and how long one is at the most. */
const HISTORY_BYTES = 192 << 20;
const HISTORY_SECONDS = 60;
/** Samples of a question about the past; the server takes twice as many. */
const ASK_SAMPLES = 1 << 20;

/** A channel in the module. */
export interface Channel {
  lane: number;
  channel: number;
}

export interface Stream {
  info: EpochInfo;
  clock: string;
  channels: Channel[];
  /** Of neighbouring channels: the number of the pair in the module, and the correlation now. */
  pairs: { right: number; pair: number; value: number }[];
  state: string;
  lost: number;
  gaps: number;
  /** One past the last frame that was told, be it there or missing. */
  told: number;
  /** The connection broke since then. */
  broken: boolean;
  /** The past is being asked for: resolved when that has ended. */
  asking: Promise<void> | null;
  /** The oldest frame that was asked for: asking again is no help. */
  asked: number;
}

export class Streams {
  readonly all = new Map<string, Stream>();
  private wished: LaneName[] = [];
  /** Rings without a session that were entered: each has a clock of its own. */
  private rings = 0;
  /** When the newest frames of any stream were written, in microseconds since 1970. */
  writtenUs = 0;

  constructor(private readonly module: Module, private readonly client: RingClient) {}

  /** The connection broke: what comes next does not follow what was last. */
  broke(): void {
    for (const stream of this.all.values()) stream.broken = true;
  }

  /** Looks at these channels and no others. */
  wish(lanes: LaneName[]): void {
    const same = JSON.stringify(lanes) === JSON.stringify(this.wished);
    if (same) return;
    this.wished = lanes;
    const names = new Set(lanes.map((lane) => lane.stream));
    for (const [name, stream] of this.all) {
      if (!names.has(name)) {
        this.drop(stream);
        this.all.delete(name);
        this.client.unsubscribe(name);
      }
    }
    this.module.call.tv_pairs_clear();
    for (const [name, stream] of this.all) this.open(name, stream.info, stream);
    for (const name of names) this.client.subscribe(name, this.channelsOf(name));
  }

  private channelsOf(name: string): number[] {
    return this.wished.filter((lane) => lane.stream === name).map((lane) => lane.channel).sort((a, b) => a - b);
  }

  private drop(stream: Stream): void {
    for (const { lane } of stream.channels) this.module.call.tv_lane_free(lane);
  }

  /** Makes lanes for a stream, keeping those that it has where its frames go on. */
  private open(name: string, info: EpochInfo, old: Stream | undefined): void {
    const { call } = this.module;
    const goesOn = old !== undefined && this.goesOn(old, info);
    const each = HISTORY_BYTES / 4 / Math.max(1, this.wished.length);
    const history = Math.floor(Math.min(each, HISTORY_SECONDS * info.sample_rate_hz));
    const channels = this.channelsOf(name).filter((channel) => channel < info.channels).map((channel) => {
      const kept = goesOn ? old.channels.find((one) => one.channel === channel) : undefined;
      return kept ?? { channel, lane: call.tv_lane_new(info.sample_rate_hz, history) };
    });
    for (const { lane } of old?.channels ?? []) if (!channels.some((one) => one.lane === lane)) call.tv_lane_free(lane);
    const pairs = channels
      .filter(({ channel }, place) => channel % 2 === 1 && channels[place - 1]?.channel === channel - 1)
      .map(({ channel }) => ({ right: channel, pair: call.tv_pair_new(info.sample_rate_hz), value: 0 }));
    const clock = goesOn ? old.clock : info.session ? `${info.session} ${info.sample_rate_hz}` : `${name} ${++this.rings}`;
    // The channels that are looked at say nothing of the connection.
    const same = old?.info === info;
    this.all.set(name, {
      info, clock, channels, pairs, state: same ? old.state : "live", lost: old?.lost ?? 0, gaps: old?.gaps ?? 0,
      told: goesOn ? old.told : info.at, broken: same && old.broken, asking: null, asked: Infinity,
    });
  }

  /** Whether a ring's frames are counted from the same beginning as those that came before. */
  private goesOn({ info: before, broken, told }: Stream, info: EpochInfo): boolean {
    if (before === info) return true;
    if (before.sample_rate_hz !== info.sample_rate_hz) return false;
    if (info.session !== null) return before.session === info.session;
    // It tells of itself once, and again after the connection broke. A writer that begins anew in the same file is behind.
    return broken && before.session === null && before.file !== null && before.file === info.file && info.at >= told;
  }

  /** A ring was entered. True where the view must be made anew. */
  epoch(info: EpochInfo): boolean {
    if (!this.wished.some((lane) => lane.stream === info.stream)) return false;
    const old = this.all.get(info.stream);
    this.open(info.stream, info, old);
    const now = this.all.get(info.stream);
    // Of a ring that was entered meanwhile all that was written is lost.
    if (old?.broken && now) this.lose(now, now.clock === old.clock ? old.told : info.first_frame, info.at);
    if (!old && now) {
      // The right edge stands before the first frame comes.
      for (const { lane } of now.channels) this.module.call.tv_miss(lane, Math.max(0, info.at - 1), info.at, Missing.absent);
    }
    return old?.clock !== now?.clock || old?.channels.length !== now?.channels.length;
  }

  /** What passed while there was no connection. */
  private lose(stream: Stream, from: number, to: number): void {
    if (to <= from) return;
    for (const { lane } of stream.channels) this.module.call.tv_miss(lane, from, to, Missing.lost);
    stream.lost += to - from;
    stream.told = to;
  }

  /** New frames. */
  live(frames: Frames): void {
    const stream = this.all.get(frames.stream);
    if (!stream) return;
    this.writtenUs = Math.max(this.writtenUs, frames.writtenUs);
    stream.told = Math.max(stream.told, frames.first + frames.count);
    const { call } = this.module;
    this.module.input(frames.samples);
    for (const { lane, channel } of stream.channels) {
      const place = frames.channels.indexOf(channel);
      if (place < 0) continue;
      if (frames.count > 0) call.tv_put(lane, frames.first, place * frames.count, frames.count, 1);
      for (const { from, to, why } of frames.missing) call.tv_miss(lane, from, to, why);
    }
    for (const pair of stream.pairs) {
      const [left, right] = [frames.channels.indexOf(pair.right - 1), frames.channels.indexOf(pair.right)];
      if (left < 0 || right < 0 || frames.count === 0) continue;
      pair.value = call.tv_pair(pair.pair, left * frames.count, right * frames.count, frames.count);
    }
    for (const { from, to, why } of frames.missing) {
      if (why === Why.Gap) stream.gaps += to - from;
      else stream.lost += to - from;
    }
  }

  /** One past the newest frame of a stream. */
  end(stream: Stream): number {
    return Math.max(0, ...stream.channels.map(({ lane }) => this.module.call.tv_end(lane)));
  }

  /** The seconds of each clock's newest frame. */
  ends(): Map<string, number> {
    const ends = new Map<string, number>();
    for (const stream of this.all.values()) {
      const seconds = this.end(stream) / stream.info.sample_rate_hz;
      ends.set(stream.clock, Math.max(ends.get(stream.clock) ?? 0, seconds));
    }
    return ends;
  }

  laneOf({ stream, channel }: LaneName): [Stream, Channel] | null {
    const found = this.all.get(stream);
    const one = found?.channels.find((other) => other.channel === channel);
    return found && one ? [found, one] : null;
  }

  /**
   * Asks the server for the past from this frame on, where it is not here, once nobody else asks. Calls `came` after each
   * part, the newest first.
   */
  async fetch(name: string, from: number, came: () => void): Promise<void> {
    const stream = this.all.get(name);
    if (!stream || stream.channels.length === 0) return;
    while (stream.asking) await stream.asking;
    stream.asking = this.ask(name, stream, from, came);
    await stream.asking;
    stream.asking = null;
  }

  /** Asks for one part after the other. */
  private async ask(name: string, stream: Stream, from: number, came: () => void): Promise<void> {
    const { call } = this.module;
    const first = () => Math.max(...stream.channels.map(({ lane }) => this.have(lane)));
    const history = Math.floor(HISTORY_BYTES / 4 / Math.max(1, this.wished.length));
    from = Math.max(0, Math.floor(from), this.end(stream) - Math.min(history, HISTORY_SECONDS * stream.info.sample_rate_hz));
    try {
      const part = Math.floor(ASK_SAMPLES / stream.info.channels);
      while (this.all.get(name) === stream && first() > from && stream.asked > from) {
        const to = Math.min(first(), stream.asked);
        const begin = Math.max(from, to - part);
        const answer = await this.client.frames(name, begin, to, stream.channels.map((one) => one.channel));
        stream.asked = begin;
        this.module.input(answer.samples);
        for (const { lane, channel } of stream.channels) {
          const place = answer.channels.indexOf(channel);
          if (place < 0) continue;
          call.tv_put(lane, begin, place * answer.count, answer.count, 0);
          for (const span of answer.missing) if (span.why !== Why.Later) call.tv_miss(lane, span.from, span.to, span.why);
        }
        came();
      }
    } catch {
      // The connection broke, or the ring is gone: what is not here stays blank.
    }
  }

  /** The oldest frame that a lane has: its first one is a place holder that is absent. */
  private have(lane: number): number {
    const { call } = this.module;
    const first = call.tv_first(lane);
    return call.tv_missing(lane, first, first + 1) === Missing.absent ? first + 1 : first;
  }
}
