/** The axis of time: seconds of the session. It is drawn when its numbers change, and moved otherwise. */

import { FONT, colour, fit } from "./ink";
import { clockTime } from "./scale";

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60];
/** Pixels between two numbers at the least. */
const APART = 72;

export class TimeAxis {
  private drawn = "";
  /** The second at the left edge of what is drawn. */
  private startSeconds = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {}

  /** Draws it anew with the next move: the theme has changed. */
  forget(): void {
    this.drawn = "";
  }

  /** Shows the time up to `endSeconds` at the right edge of a picture of this width. */
  move(endSeconds: number, secondsPerPixel: number, width: number): void {
    const span = width * secondsPerPixel;
    const step = STEPS.find((one) => (one / span) * width >= APART) ?? 60;
    // What is drawn is wider than what is seen by a step, and begins with a number.
    const first = Math.floor((endSeconds - span) / step);
    const wide = Math.ceil(width + step / secondsPerPixel);
    const now = `${first} ${step} ${secondsPerPixel} ${wide} ${devicePixelRatio}`;
    if (now !== this.drawn) {
      this.drawn = now;
      this.startSeconds = first * step;
      this.canvas.style.width = `${wide}px`;
      this.draw(first, step, secondsPerPixel);
    }
    const left = (this.startSeconds - (endSeconds - span)) / secondsPerPixel;
    this.canvas.style.transform = `translateX(${left.toFixed(1)}px)`;
  }

  private draw(first: number, step: number, secondsPerPixel: number): void {
    const { context, width, height } = fit(this.canvas);
    const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : step >= 0.01 ? 2 : 3;
    context.font = FONT;
    context.textBaseline = "middle";
    context.textAlign = "center";
    const [line, soft] = [colour("faint"), colour("soft")];
    for (let tick = first; ; tick++) {
      const x = ((tick - first) * step) / secondsPerPixel;
      if (x > width) return;
      context.fillStyle = line;
      context.fillRect(Math.round(x), 0, 1, 5);
      context.fillStyle = soft;
      context.fillText(clockTime(tick * step, digits), x, height / 2 + 2);
    }
  }
}
