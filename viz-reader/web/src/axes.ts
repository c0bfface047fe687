/** Names, frequencies and times beside the picture. */

import type { Lane } from "./layout";
import type { LaneState } from "./messages";

const SCALES = ["linear", "log", "mel"];

/** Where a frequency lies from 0 to 1: `audio_dsp::FrequencyScale::position`. */
export function position(scale: number, hz: number, lowHz: number, highHz: number): number {
  const unit = unitOf(scale);
  return (unit(hz) - unit(lowHz)) / (unit(highHz) - unit(lowHz));
}

/** The frequency at a position: its inverse. */
export function hzAt(scale: number, place: number, lowHz: number, highHz: number): number {
  const unit = unitOf(scale);
  const at = unit(lowHz) + place * (unit(highHz) - unit(lowHz));
  if (SCALES[scale] === "log") return 2 ** at;
  return SCALES[scale] === "mel" ? 700 * (10 ** (at / 2595) - 1) : at;
}

function unitOf(scale: number): (hz: number) => number {
  if (SCALES[scale] === "log") return (hz) => Math.log2(Math.max(1, hz));
  if (SCALES[scale] === "mel") return (hz) => 2595 * Math.log10(1 + hz / 700);
  return (hz) => hz;
}

export function hertz(hz: number): string {
  return hz >= 10_000 ? `${(hz / 1000).toFixed(1)} kHz` : hz >= 1000 ? `${(hz / 1000).toFixed(2)} kHz` : `${hz.toFixed(hz < 100 ? 1 : 0)} Hz`;
}

export function clockTime(seconds: number, digits: number): string {
  const sign = seconds < 0 ? "−" : "";
  const all = Math.abs(seconds);
  const rest = (all % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  const minutes = Math.floor(all / 60);
  return minutes >= 60 ? `${sign}${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}` : `${sign}${minutes}:${rest}`;
}

/** Makes a canvas as large as it is shown, and its context count in CSS pixels. */
export function fit(canvas: HTMLCanvasElement): { context: CanvasRenderingContext2D; width: number; height: number } {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  const [wide, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const FONT = '11px system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

/** Names of the lanes and their frequencies, over the picture. `lanes` in CSS pixels. */
export function drawMarks(canvas: HTMLCanvasElement, lanes: Lane[], names: string[], axis: { scale: number; lowHz: number; highHz: (lane: number) => number }): void {
  const { context } = fit(canvas);
  context.font = FONT;
  context.textBaseline = "middle";
  lanes.forEach((lane, index) => {
    const { top, height } = lane.colours;
    const highHz = axis.highHz(index);
    let free = top + height - 6;
    for (const hz of frequencies(axis.scale, axis.lowHz, highHz)) {
      const y = top + height * (1 - position(axis.scale, hz, axis.lowHz, highHz));
      if (height < 26 || y > free || y < top + 7) continue;
      free = y - 17;
      context.fillStyle = "#fff8";
      context.fillRect(0, Math.round(y), 5, 1);
      write(context, hz >= 1000 ? `${hz / 1000}k` : String(hz), 8, y, "#fff", "#000a");
    }
    write(context, names[index], 6, lane.top + 9, colour("text"), colour("shade"), true);
  });
}

function write(context: CanvasRenderingContext2D, text: string, x: number, y: number, ink: string, ground: string, bold = false): void {
  context.font = bold ? `600 ${FONT}` : FONT;
  const wide = context.measureText(text).width;
  context.fillStyle = ground;
  context.beginPath();
  context.roundRect(x - 3, y - 8, wide + 6, 15, 4);
  context.fill();
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

/** Frequencies to name, from below. */
function frequencies(scale: number, lowHz: number, highHz: number): number[] {
  if (SCALES[scale] === "linear") {
    const step = [500, 1000, 2000, 4000, 5000, 10_000, 20_000].find((one) => highHz / one <= 6) ?? 20_000;
    return Array.from({ length: Math.floor(highHz / step) }, (_, index) => (index + 1) * step);
  }
  return [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000].filter((hz) => hz > lowHz && hz < highHz);
}

/** The axis of time: seconds of the session. */
export function drawTime(canvas: HTMLCanvasElement, endSeconds: number, secondsPerPixel: number): void {
  const { context, width, height } = fit(canvas);
  const span = width * secondsPerPixel;
  const step = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60].find((one) => (one / span) * width >= 72) ?? 60;
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
  context.font = FONT;
  context.textBaseline = "middle";
  context.textAlign = "center";
  const [line, soft] = [colour("faint"), colour("soft")];
  for (let tick = Math.ceil((endSeconds - span) / step); tick * step <= endSeconds; tick++) {
    const x = width - (endSeconds - tick * step) / secondsPerPixel;
    context.fillStyle = line;
    context.fillRect(Math.round(x), 0, 1, 5);
    context.fillStyle = soft;
    if (x > 20 && x < width - 20) context.fillText(clockTime(tick * step, digits), x, height / 2 + 2);
  }
}

export { drawLaneStates };

/** Says over a lane what is wrong with its stream. */
function drawLaneStates(canvas: HTMLCanvasElement, lanes: Lane[], states: LaneState[]): void {
  const context = canvas.getContext("2d")!;
  context.font = FONT;
  context.textBaseline = "middle";
  states.forEach(({ state }, index) => {
    if (state === "live" || !lanes[index]) return;
    const text = state === "waiting" ? "waiting for sound" : `the ring is ${state}`;
    const wide = context.measureText(text).width;
    write(context, text, canvas.clientWidth / 2 - wide / 2, lanes[index].top + lanes[index].height / 2, colour("warn"), colour("shade"));
  });
}
