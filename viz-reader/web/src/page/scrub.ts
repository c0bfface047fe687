/** The whole history as a small wave, and the part of it that the picture shows. */

import { colour, fit } from "./ink";
import { clockTime } from "./scale";

export interface Overview {
  fromSeconds: number;
  toSeconds: number;
  clock: string;
  /** Minimum and maximum of each column. */
  peaks: Float32Array;
}

/** How often the part that is shown is drawn while it moves on by itself, in milliseconds: it moves by less than a pixel. */
const DRAW_MS = 100;

export class Scrub {
  private known: Overview | null = null;
  private drawnAt = 0;
  private drawn = "";

  constructor(private readonly canvas: HTMLCanvasElement, private readonly go: (endSeconds: number) => void) {
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.point(event);
    };
    canvas.onpointermove = (event) => {
      if (event.buttons) this.point(event);
    };
  }

  get overview(): Overview | null {
    return this.known;
  }

  set overview(overview: Overview | null) {
    this.known = overview;
    this.forget();
  }

  /** Draws it anew with the next move: what is seen has changed. */
  forget(): void {
    this.drawn = "";
  }

  private point(event: PointerEvent): void {
    if (!this.overview) return;
    const { fromSeconds, toSeconds } = this.overview;
    const part = event.offsetX / this.canvas.clientWidth;
    // The middle of the picture comes to where it is pointed.
    this.go(fromSeconds + part * (toSeconds - fromSeconds));
  }

  /** `soon`: a person moves it, and wants to see that. */
  draw(startSeconds: number, endSeconds: number, soon: boolean): void {
    const now = performance.now();
    const wish = `${startSeconds} ${endSeconds}`;
    if (!this.overview || wish === this.drawn || (this.drawn !== "" && !soon && now - this.drawnAt < DRAW_MS)) return;
    [this.drawn, this.drawnAt] = [wish, now];
    const { context, width, height } = fit(this.canvas);
    const { fromSeconds, toSeconds, peaks } = this.overview;
    const columns = peaks.length / 2;
    const middle = height / 2;
    context.fillStyle = colour("wave-soft");
    for (let x = 0; x < width; x++) {
      const column = Math.floor((x / width) * columns);
      const [low, high] = [peaks[2 * column], peaks[2 * column + 1]];
      if (low > high) continue;
      const top = middle - Math.min(1, high) * (middle - 2);
      context.fillRect(x, top, 1, Math.max(1, middle - Math.max(-1, low) * (middle - 2) - top));
    }
    const x = (seconds: number) => ((seconds - fromSeconds) / (toSeconds - fromSeconds)) * width;
    const [left, right] = [Math.max(0, x(startSeconds)), Math.min(width, x(endSeconds))];
    context.fillStyle = colour("accent");
    context.globalAlpha = 0.16;
    context.fillRect(left, 0, right - left, height);
    context.globalAlpha = 1;
    context.fillRect(left, 0, 1.5, height);
    context.fillRect(right - 1.5, 0, 1.5, height);
    const { canvas } = this;
    canvas.ariaValueMin = fromSeconds.toFixed(1);
    canvas.ariaValueMax = toSeconds.toFixed(1);
    canvas.ariaValueNow = endSeconds.toFixed(1);
    canvas.ariaValueText = `up to ${clockTime(endSeconds, 1)}`;
  }
}
