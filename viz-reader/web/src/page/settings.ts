/** What a person has set, kept in this browser. */

import type { Look } from "../messages";

export interface Settings {
  fft: number;
  /** Frames from one transform to the next; null: as many as a column of the picture has. */
  hop: number | null;
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
/** Frames of a hop. A longer one than a transform would leave sound out, so that it counts as that. */
const HOP_MIN = 16;
const HOP_MAX = 8192;
export const LOW_HZ = 40;

const light = matchMedia("(prefers-color-scheme: light)");

/** What the system is set to, and calls `changed` whenever that is another. */
export const systemTheme = () => (light.matches ? "light" : "dark");
export const listenToSystemTheme = (changed: () => void) => light.addEventListener("change", changed);

export function defaults(): Settings {
  return {
    fft: 2048, hop: null, window: 0, show: "both", colours: 2, scale: 1, speed: 120, lowDb: -100, highDb: -10, gainDb: 0,
    labels: true, theme: systemTheme(), channels: {},
  };
}

/** What the command line wished, in this page's terms. */
export function fromCommandLine(look: Record<string, unknown>): Partial<Settings> {
  const nearest = (of: number[], to: number) => of.reduce((a, b) => (Math.abs(b - to) < Math.abs(a - to) ? b : a));
  const found = (of: string[], name: unknown) => Math.max(0, of.indexOf(String(name)));
  const fft = nearest(FFTS, Number(look.fft) || 2048);
  return {
    fft, hop: hopIn(look.hop), window: found(WINDOWS, look.window), colours: found(MAPS, look.colours),
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

/** A hop that somebody wrote: a whole number of frames within bounds; null where it is none. */
export function hopIn(text: unknown): number | null {
  const frames = Math.round(Number(text));
  return text === null || text === undefined || text === "" || !Number.isFinite(frames) ? null : Math.min(Math.max(frames,
    HOP_MIN), HOP_MAX);
}

/** The hop where none was set: a transform for each column, for more would not be seen; but no click lies between two. */
function hopFor(fft: number, columnFrames: number): number {
  return Math.min(fft / 2, Math.max(fft / 16, Math.round(columnFrames)));
}

export function lookOf(settings: Settings, highestRateHz: number, secondsPerColumn: number): Look {
  const { window, fft, scale, highDb } = settings;
  return {
    window, fft, hop: Math.min(fft, settings.hop ?? hopFor(fft, secondsPerColumn * highestRateHz)), scale,
    lowHz: scale === 0 ? 0 : LOW_HZ, highHz: highestRateHz / 2, lowDb: Math.min(settings.lowDb, highDb - 5), highDb,
  };
}
