/** The page's head: the connection and the figures. */

import type { Loudness } from "../ring-client";
import { get } from "./dom";
import type { Pace } from "./pace";
import { level } from "./scale";
import type { State } from "./state";

export function showConnection({ connection, why, streams, lanes }: State): void {
  const place = get("connection");
  const ended = streams.length > 0 && streams.every((stream) => stream.state !== "live");
  const word = connection !== "open" ? connection : ended ? "ended" : streams.length === 0 ? "no stream" : "live";
  place.dataset.state = word;
  place.querySelector("span")!.textContent = word === "live" ? `${lanes.length} channel${lanes.length === 1 ? "" : "s"}`
    : why || word;
}

/** Once a second. */
export function showFigures(state: State, pace: Pace, live: boolean, coarse: number): void {
  get("fps").textContent = live ? String(Math.round(pace.framesPerSecond)) : "still";
  if (!state.status) return;
  const { lost, gaps, skipped, fft, hop, quality, latency } = state.status;
  get("latency").textContent = latency === null || !live ? "–" : `${Math.round(pace.latency(0.5))} ms`;
  get("transform").textContent = `${fft} / ${hop}${quality > 0 || coarse > 1 ? ", coarser" : ""}`;
  const rate = state.streams[0]?.sample_rate_hz ?? 48_000;
  const parts = [[lost, "lost"], [gaps, "gap"], [skipped, "not drawn"]] as const;
  const some = parts.filter(([frames]) => frames > 0)
    .map(([frames, name]) => `${(frames / rate).toFixed(frames < rate ? 3 : 1)} s ${name}`);
  if (state.wordsLost > 0) some.push(`${state.wordsLost} texts`);
  get("lost").textContent = some.join(", ") || "none";
  get("lost-figure").classList.toggle("some", some.length > 0);
}

/** The loudness of the mix; hidden where there is none. */
export function showLoudness(loudness: Loudness | null): void {
  get("loudness-figure").hidden = get("peak-figure").hidden = loudness === null;
  if (!loudness) return;
  get("loudness").textContent = [loudness.momentary_lufs, loudness.short_term_lufs,
    loudness.integrated_lufs].map(level).join("  ");
  get("true-peak").textContent = level(loudness.true_peak_dbtp);
  get("peak-figure").classList.toggle("some", (loudness.true_peak_dbtp ?? -Infinity) > 0);
}
