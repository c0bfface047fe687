// The spectrum of a stream in the terminal, from 40 Hz to 16 kHz, twenty times a second.
//
//     node spectrum.js /dev/shm/tympan-$(id -u) mic

import { Follower, ReadError } from "../tympan-ring.js";

const WINDOW = 4096;
const HEIGHT = 16;
const [FLOOR_DB, LOWEST_HZ, HIGHEST_HZ] = [-90, 40, 16_000];
const BLOCKS = " ▁▂▃▄▅▆▇█";

// In place; `re` and `im` have a power of two of values.
function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) [re[i], re[j], im[i], im[j]] = [re[j], re[i], im[j], im[i]];
  }
  for (let half = 1; half < n; half *= 2) {
    for (let k = 0; k < half; k++) {
      const [c, s] = [Math.cos((-Math.PI * k) / half), Math.sin((-Math.PI * k) / half)];
      for (let i = k; i < n; i += 2 * half) {
        const j = i + half;
        const [x, y] = [re[j] * c - im[j] * s, re[j] * s + im[j] * c];
        [re[j], im[j]] = [re[i] - x, im[i] - y];
        re[i] += x;
        im[i] += y;
      }
    }
  }
}

// The power of each bin in dB of a full-scale sine, all channels together.
function powers(planar, channels) {
  const [re, im] = [new Float64Array(WINDOW), new Float64Array(WINDOW)];
  for (let n = 0; n < WINDOW; n++) {
    const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / WINDOW);
    for (let channel = 0; channel < channels; channel++) re[n] += (planar[channel * WINDOW + n] * hann) / channels;
  }
  fft(re, im);
  return Array.from({ length: WINDOW / 2 }, (_, bin) => 20 * Math.log10((Math.hypot(re[bin], im[bin]) * 4) / WINDOW));
}

// Rows of text: a column for each step of the pitch, the loudest bin in it.
function picture(planar, { channels, sampleRateHz }, width) {
  const power = powers(planar, channels);
  const binOf = (column) => (LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (column / width) * WINDOW) / sampleRateHz;
  const levels = Array.from({ length: width }, (_, column) => {
    const from = Math.round(binOf(column));
    const to = Math.max(Math.round(binOf(column + 1)), from + 1);
    const loudest = Math.max(FLOOR_DB, ...power.slice(from, to));
    return Math.round(((Math.min(loudest, 0) - FLOOR_DB) / -FLOOR_DB) * HEIGHT * 8) || 0;
  });
  return Array.from({ length: HEIGHT }, (_, row) => {
    const below = (HEIGHT - 1 - row) * 8;
    return levels.map((level) => BLOCKS[Math.max(0, Math.min(8, level - below))]).join("");
  });
}

const [folder, stream] = process.argv.slice(2);
if (stream === undefined) {
  console.error("usage: spectrum.js FOLDER STREAM\nAs in: spectrum.js /dev/shm/tympan-1000 mic");
  process.exit(2);
}
const follower = new Follower(folder, stream, { newestWhenLapped: true });
let due = 0;
for await (const event of follower) {
  if (event.kind === "new epoch") console.error(`${event.info.stream}: ${event.info.sampleRateHz} Hz`);
  if (event.kind === "crashed") console.error("its writer died; waiting for the next one");
  if (event.kind === "closed") break;
  if (event.kind !== "frames" || performance.now() < due) continue;
  due = performance.now() + 50;
  try {
    const { planar } = follower.ring.newest(WINDOW);
    const width = Math.min(process.stdout.columns ?? 80, 200) - 1;
    console.log(`${picture(planar, follower.ring.info, width).join("\n")}\n\x1b[${HEIGHT + 1}A`);
  } catch (error) {
    // Not so many frames yet, or not any more: the next picture is another one.
    if (!(error instanceof ReadError)) throw error;
  }
}
console.error("\n".repeat(HEIGHT) + `${stream} ended`);
