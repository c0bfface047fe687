/** Levels beside the picture: meters, correlations of pairs, the loudest tones. */

import type { LaneName, MeterState, Status, Tone } from "../messages";
import type { Module } from "./module";
import type { Streams } from "./streams";

const TONES_FLOOR_DB = -80;
const TONES = 3;

export class Levels {
  /** Of each lane of the module: how far it was when it was measured, and what it was then. */
  private readonly metered = new Map<number, { end: number; meter: MeterState }>();

  constructor(private readonly module: Module, private readonly streams: Streams) {}

  /** A channel's levels; what they were last where nothing came since. A stream that has ended has none. */
  meter(name: LaneName): MeterState {
    const silent = { peak: 0, rms: 0, held: 0, clips: 0 };
    const found = this.streams.laneOf(name);
    if (!found || found[0].state !== "live") return silent;
    const { lane } = found[1];
    const { call } = this.module;
    const end = call.tv_end(lane);
    const last = this.metered.get(lane);
    if (last?.end === end) return last.meter;
    if (call.tv_meter(lane) === 0) return silent;
    const [peak, rms, held, clips] = this.module.floats(4);
    const meter = { peak, rms, held, clips };
    this.metered.set(lane, { end, meter });
    return meter;
  }

  /** Of each pair of neighbouring channels in the view. */
  pairs(lanes: LaneName[]): Status["pairs"] {
    return lanes.flatMap(({ stream, channel }, lane) => {
      const pair = this.streams.all.get(stream)?.pairs.find((one) => one.right === channel);
      return pair ? [{ lane, value: pair.value }] : [];
    });
  }

  /**
   * The loudest tones around a frame, or as near to it as all of a transform's frames are there: half of a tone looks
   * softer.
   */
  tones(name: LaneName, frame: number, fft: number): Tone[] {
    const found = this.streams.laneOf(name);
    if (!found || found[0].state !== "live") return [];
    const { call } = this.module;
    const centre = Math.min(frame, call.tv_end(found[1].lane) - fft / 2);
    const count = call.tv_tones(found[1].lane, Math.max(0, centre), TONES_FLOOR_DB, TONES);
    const numbers = this.module.floats(count * 2);
    return Array.from({ length: count }, (_, tone) => ({ hz: numbers[tone * 2], levelDb: numbers[tone * 2 + 1] }));
  }
}
