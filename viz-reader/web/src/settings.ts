/** What a person has set, kept in this browser. */

import type { Look } from "./messages";

export interface Settings {
  fft: number;
  hopDivisor: number;
  window: number;
  show: "both" | "wave" | "spectrogram";
  colours: number;
  scale: number;
  speed: number;
  lowDb: number;
  highDb: number;
  gainDb: number;
  labels: boolean;
  theme: "dark" | "light";
  /** Channels that were switched, by stream; a stream that is not here has its first ones. */
  channels: Record<string, number[]>;
}

const KEY = "tympan.settings.1";
const WINDOWS = ["hann", "hamming", "blackman", "blackmanharris", "flattop", "rectangular"];
const MAPS = ["viridis", "plasma", "magma", "inferno", "grey"];
const SCALES = ["linear", "log", "mel"];

export const FFTS = [512, 1024, 2048, 4096, 8192];
export const SPEEDS = [30, 60, 120, 240, 480];
export const LOW_HZ = 40;

export function defaults(): Settings {
  const theme = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  return {
    fft: 2048, hopDivisor: 4, window: 0, show: "both", colours: 2, scale: 1, speed: 120, lowDb: -100, highDb: -10, gainDb: 0,
    labels: true, theme, channels: {},
  };
}

/** What the command line wished, in this page's terms. */
export function fromCommandLine(look: Record<string, unknown>): Partial<Settings> {
  const nearest = (of: number[], to: number) => of.reduce((a, b) => (Math.abs(b - to) < Math.abs(a - to) ? b : a));
  const found = (of: string[], name: unknown) => Math.max(0, of.indexOf(String(name)));
  const fft = nearest(FFTS, Number(look.fft) || 2048);
  const hop = Number(look.hop) || fft / 4;
  return {
    fft, hopDivisor: nearest([1, 2, 4, 8, 16], fft / hop), window: found(WINDOWS, look.window), colours: found(MAPS, look.colours),
    scale: found(SCALES, look.scale), lowDb: Number(look.low_db ?? -90), highDb: Number(look.high_db ?? 0),
  };
}

export function load(): Partial<Settings> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof kept === "object" && kept !== null ? (kept as Partial<Settings>) : {};
  } catch {
    return {};
  }
}

export function save(changes: Partial<Settings>): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...load(), ...changes }));
  } catch {
    // A browser that keeps nothing: it is as at first the next time.
  }
}

export function forget(): void {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

export function lookOf(settings: Settings, highestRateHz: number): Look {
  return {
    window: settings.window, fft: settings.fft, hop: Math.max(1, settings.fft / settings.hopDivisor), scale: settings.scale,
    lowHz: settings.scale === 0 ? 0 : LOW_HZ, highHz: highestRateHz / 2, lowDb: Math.min(settings.lowDb, settings.highDb - 5), highDb: settings.highDb,
  };
}
