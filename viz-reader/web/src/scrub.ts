/** The whole history as a small wave, and the part of it that the picture shows. */

import { clockTime, colour, fit } from "./axes";

export interface Overview {
  fromSeconds: number;
  toSeconds: number;
  clock: string;
  /** Minimum and maximum of each column. */
  peaks: Float32Array;
}

export class Scrub {
  overview: Overview | null = null;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly go: (endSeconds: number) => void) {
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.point(event);
    };
    canvas.onpointermove = (event) => {
      if (event.buttons) this.point(event);
    };
  }

  private point(event: PointerEvent): void {
    if (!this.overview) return;
    const { fromSeconds, toSeconds } = this.overview;
    const part = event.offsetX / this.canvas.clientWidth;
    // The middle of the picture comes to where it is pointed.
    this.go(fromSeconds + part * (toSeconds - fromSeconds));
  }

  draw(startSeconds: number, endSeconds: number): void {
    const { context, width, height } = fit(this.canvas);
    if (!this.overview) return;
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
