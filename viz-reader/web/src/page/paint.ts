/** Paints columns into an image: the wave of each lane as a line from its least to its greatest sample, levels as colours. */

import type { Lane, Strip } from "./layout";
import { Missing, type Picture } from "../picture";

export interface Ink {
  ground: number;
  wave: number;
  body: number;
  axis: number;
  clip: number;
  gap: number;
  lost: number;
  skipped: number;
}

export class Painter {
  readonly image: ImageData;
  private readonly pixels: Uint32Array;

  constructor(readonly width: number, readonly height: number, private readonly lanes: Lane[], private readonly ink: Ink,
    private readonly colours: Uint32Array, private readonly gain: number) {
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.pixels.fill(ink.ground);
  }

  /** A column of the wave. */
  wave(picture: Picture, lane: number, column: number): void {
    const strip = this.lanes[lane].wave;
    if (!this.sounds(strip, picture.missingAt(lane, column), column)) return;
    const { top, height } = strip;
    const { pixels, width, ink } = this;
    const x = column % width;
    const [low, high, rms] = picture.waveAt(lane, column);
    const middle = top + (height - 1) / 2;
    const scale = ((height - 1) / 2) * this.gain;
    const y = (value: number) => Math.min(top + height - 1, Math.max(top, Math.round(middle - value * scale)));
    const [from, to, bodyFrom, bodyTo] = [y(high), y(low), y(Math.min(high, rms)), y(Math.max(low, -rms))];
    const axis = Math.round(middle);
    for (let row = top, at = top * width + x; row < top + height; row++, at += width) {
      const inside = row >= from && row <= to;
      pixels[at] = inside ? (row >= bodyFrom && row <= bodyTo ? ink.body : ink.wave) : row === axis ? ink.axis : ink.ground;
    }
    if (high >= 0.9999) pixels[from * width + x] = ink.clip;
    if (low <= -0.9999) pixels[to * width + x] = ink.clip;
  }

  /** A column of the spectrogram. */
  spectrum(picture: Picture, lane: number, column: number): void {
    const strip = this.lanes[lane].colours;
    if (!this.sounds(strip, picture.darkAt(lane, column), column)) return;
    const { top, height } = strip;
    const { pixels, width, colours } = this;
    const x = column % width;
    const [levels, begin] = picture.coloursAt(lane, column);
    const last = begin + Math.min(height, picture.shape.rows) - 1;
    for (let level = last, at = top * width + x; level >= begin; level--, at += width) pixels[at] = colours[levels[level]];
  }

  /** Nothing is known of this column yet. */
  blank(strip: Strip, column: number): void {
    const x = column % this.width;
    for (let row = strip.top, at = strip.top * this.width + x; row < strip.top + strip.height; row++, at += this.width) {
      this.pixels[at] = this.ink.ground;
    }
  }

  /** Whether there is sound to be painted; what is missing is painted here: as stripes, which no sound looks like. */
  private sounds({ top, height }: Strip, missing: number, column: number): boolean {
    if (height === 0) return false;
    if (missing === Missing.sound) return true;
    const { pixels, width, ink } = this;
    const x = column % width;
    const colour = missing === Missing.gap ? ink.gap : missing === Missing.absent || missing === Missing.overwritten
      ? ink.ground
      : missing === Missing.skipped ? ink.skipped : ink.lost;
    for (let row = top, at = top * width + x; row < top + height; row++, at += width) {
      pixels[at] = ((row + column) >> 2) & 1 ? colour : ink.ground;
    }
    return false;
  }
}
