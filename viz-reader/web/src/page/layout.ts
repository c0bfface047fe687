/** Where lanes lie on the picture, in its own pixels. */

export interface Strip {
  top: number;
  height: number;
}

export interface Lane {
  top: number;
  height: number;
  wave: Strip;
  colours: Strip;
}

/** Divides the height: lanes of one height, in each the wave above its spectrogram. All spectrograms have as many rows. */
export function lanesIn(height: number, count: number, show: "both" | "wave" | "spectrogram", gap: number): Lane[] {
  const each = Math.max(4, Math.floor((height - gap * (count - 1)) / Math.max(1, count)));
  const wave = show === "wave" ? each : show === "spectrogram" ? 0 : Math.max(2, Math.round(each * 0.34));
  return Array.from({ length: count }, (_, lane) => {
    const top = lane * (each + gap);
    return { top, height: each, wave: { top, height: wave }, colours: { top: top + wave, height: each - wave } };
  });
}
