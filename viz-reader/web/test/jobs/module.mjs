// The module of the page by itself: what it computes of samples that the test has, too.
import { readFileSync } from "node:fs";

/** `job.samples` is a file of them. Levels of each window and length around `job.centre`, columns of the wave, colours. */
export async function module(_, job) {
  const { instance } = await WebAssembly.instantiate(readFileSync("dist/tympan.wasm"), {});
  const call = instance.exports;
  const floats = (count) => [...new Float32Array(call.memory.buffer, call.tv_output(), count)];
  const bytes = (count) => [...new Uint8Array(call.memory.buffer, call.tv_output_bytes(), count)];
  const file = readFileSync(job.samples);
  const samples = new Float32Array(file.buffer, file.byteOffset, file.byteLength / 4);
  const lane = call.tv_lane_new(48_000, 2 * samples.length);
  const at = call.tv_input(samples.length);
  new Float32Array(call.memory.buffer, at, samples.length).set(samples);
  call.tv_put(lane, 0, 0, samples.length, 1);
  const levels = [];
  for (const fft of job.ffts) {
    for (let window = 0; window < job.windows; window++) {
      call.tv_transform(window, fft, fft / 2);
      levels.push({ fft, window, levels: floats(call.tv_spectrum(lane, job.centre)) });
    }
  }
  const wave = floats(3 * call.tv_wave(lane, 0, job.columns, job.width));
  const maps = Array.from({ length: job.maps }, (_, map) => bytes(call.tv_colour_map(map)));
  return { levels, wave, maps };
}
