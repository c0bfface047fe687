/** Frequencies and times: where they lie, and how they are written. */

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

/** Frequencies to name on an axis, from below. */
export function frequencies(scale: number, lowHz: number, highHz: number): number[] {
  if (SCALES[scale] === "linear") {
    const step = [500, 1000, 2000, 4000, 5000, 10_000, 20_000].find((one) => highHz / one <= 6) ?? 20_000;
    return Array.from({ length: Math.floor(highHz / step) }, (_, index) => (index + 1) * step);
  }
  return [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000].filter((hz) => hz > lowHz && hz < highHz);
}

export function hertz(hz: number): string {
  return hz >= 10_000 ? `${(hz / 1000).toFixed(1)} kHz` : hz >= 1000 ? `${(hz / 1000).toFixed(2)} kHz`
    : `${hz.toFixed(hz < 100 ? 1 : 0)} Hz`;
}

/** A level with one digit, and a minus that is one. */
export const level = (value: number | null) => (value === null || !Number.isFinite(value) ? "−∞"
  : value.toFixed(1).replace("-", "−"));

export function clockTime(seconds: number, digits: number): string {
  const sign = seconds < 0 ? "−" : "";
  const all = Math.abs(seconds);
  const rest = (all % 60).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  const minutes = Math.floor(all / 60);
  return minutes >= 60 ? `${sign}${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`
    : `${sign}${minutes}:${rest}`;
}
