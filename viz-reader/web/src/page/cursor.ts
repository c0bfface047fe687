/** What is under the pointer: its time, its frequency, the level there. */

import type { FromWorker, ToWorker } from "../messages";
import type { Beside } from "./beside";
import type { PictureCanvas } from "./canvas";
import { get, size } from "./dom";
import type { Moment } from "./moment";
import { clockTime, hertz, hzAt, level } from "./scale";
import { type State, lowHz } from "./state";
import type { Views } from "./views";

/** The label is left of the line where it would not fit at its right. */
const LABEL_WIDTH = 170;

export class Cursor {
  private pointed: { x: number; y: number; lane: number } | null = null;
  private readonly line = get("cursor");

  constructor(private readonly state: State, private readonly canvas: PictureCanvas, private readonly moment: Moment,
    private readonly views: Views,
    private readonly beside: Beside, private readonly tell: (message: ToWorker) => void) {}

  /** Somebody points there, in CSS pixels: the worker is asked. */
  point(x: number, y: number): void {
    const at = y * this.views.ratio;
    const lane = this.views.places.findIndex((one) => at >= one.top && at < one.top + one.height);
    this.pointed = lane < 0 ? null : { x, y, lane };
    this.line.hidden = !this.pointed;
    if (!this.pointed) return;
    this.tell({ type: "point", serial: this.canvas.serial, lane, column: this.canvas.columnAt(lane, x / size.width) });
  }

  leave(): void {
    this.pointed = null;
    this.line.hidden = true;
  }

  /** The worker's answer. */
  show({ levels }: Extract<FromWorker, { type: "point" }>): void {
    if (!this.pointed || !this.views.places[this.pointed.lane]) return;
    const { x, y, lane } = this.pointed;
    const { secondsPerPixel } = this.moment;
    this.line.style.left = `${x}px`;
    this.line.classList.toggle("left", x > size.width - LABEL_WIDTH);
    const { top, height } = this.views.places[lane].colours;
    const part = 1 - (y * this.views.ratio - top) / height;
    let text = clockTime(this.canvas.endSeconds(lane) - (size.width - x) * secondsPerPixel, secondsPerPixel < 0.002 ? 4 : 2);
    if (part >= 0 && part <= 1) {
      const hz = hzAt(this.state.settings.scale, part, lowHz(this.state), this.beside.highHz(lane));
      const bin = Math.min(levels.length - 1, Math.round((hz / (this.canvas.lanes[lane].rateHz / 2)) * (levels.length - 1)));
      text += `\n${hertz(hz)}\n${level(levels[bin])} dB`;
    }
    const label = this.line.firstElementChild as HTMLElement;
    label.textContent = text;
    label.style.top = `${Math.min(Math.max(4, y - 20), size.height - 64)}px`;
  }
}
