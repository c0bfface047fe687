/** What the page asks for besides pictures: an overview, a stretch of sound, a spectrum, how quick this machine is. */

import type { FromWorker } from "../messages";
import { Missing } from "../picture";
import type { RingClient } from "../ring-client";
import type { Module } from "./module";
import type { Streams } from "./streams";

/** The peaks of all that a stream's ring has; null where there is nothing, or nobody to ask. */
export async function overview(streams: Streams, client: RingClient, name: string,
  columns: number): Promise<FromWorker | null> {
  const stream = streams.all.get(name);
  if (!stream) return null;
  const end = streams.end(stream);
  const from = Math.max(stream.info.first_frame, end - stream.info.capacity_frames);
  if (end <= from) return null;
  try {
    const channel = stream.channels[0]?.channel ?? 0;
    const answer = await client.overview(name, from, end, columns, [channel]);
    const peaks = answer.samples.map((part) => part.slice());
    return { type: "overview", stream: name, from, span: answer.span, rateHz: answer.sampleRateHz, peaks, clock: stream.clock };
  } catch {
    // It is asked for again in a second.
    return null;
  }
}

/** The samples of some channels; those that are not here are fetched. */
export async function sound(streams: Streams, module: Module, request: number, name: string, channels: number[], from: number,
  to: number): Promise<FromWorker | null> {
  const stream = streams.all.get(name);
  if (!stream) return null;
  const wished = stream.channels.filter(({ channel }) => channels.includes(channel));
  const missing = () => Math.max(0, ...wished.map(({ lane }) => module.call.tv_missing(lane, from, to)));
  if (missing() === Missing.absent) await streams.fetch(name, from, () => {});
  const samples = wished.map(({ lane }) => module.floats(module.call.tv_samples(lane, from, to - from)).slice());
  return { type: "sound", request, rateHz: stream.info.sample_rate_hz, samples, missing: missing() };
}

/** Transforms in one measurement: it takes less than a millisecond, so that most of them are not interrupted. */
const BATCH = 100;

/** How long a frame of the transform takes, for the bench: the median of many measurements. */
export function measure(module: Module, turns: number): FromWorker {
  const { call } = module;
  const lane = call.tv_lane_new(48_000, 48_000);
  const noise = Float32Array.from({ length: 48_000 }, () => Math.random() - 0.5);
  module.input([noise]);
  call.tv_put(lane, 0, 0, noise.length, 0);
  const times = new Float64Array(Math.ceil(turns / BATCH));
  for (let batch = 0; batch < times.length; batch++) {
    const begin = performance.now();
    for (let turn = 0; turn < BATCH; turn++) call.tv_spectrum(lane, 24_000);
    times[batch] = ((performance.now() - begin) * 1000) / BATCH;
  }
  call.tv_lane_free(lane);
  return { type: "measured", microseconds: times.sort()[times.length >> 1], turns };
}
