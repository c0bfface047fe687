/** What moves along with the picture: the axis of time, words, what is selected, the place in the history. */

import type { PictureCanvas } from "./canvas";
import { get, size } from "./dom";
import type { Moment } from "./moment";
import { Scrub } from "./scrub";
import { TimeAxis } from "./time-axis";
import type { Words } from "./words";

export class Along {
  selection: { stream: string; from: number; to: number } | null = null;
  /** Something is to be drawn though the picture stands still. */
  wanted = true;
  readonly scrub: Scrub;
  private readonly axis = new TimeAxis(get<HTMLCanvasElement>("time"));

  constructor(private readonly canvas: PictureCanvas, private readonly moment: Moment, private readonly words: Words) {
    this.scrub = new Scrub(get<HTMLCanvasElement>("overview"), (seconds) => moment.centre(seconds));
  }

  /** Draws all of it anew with the next frame: size or colours have changed. */
  forget(): void {
    this.wanted = true;
    this.axis.forget();
    this.scrub.forget();
  }

  move(): void {
    this.wanted = false;
    const { canvas, moment, selection } = this;
    const { back, pausedAt, secondsPerPixel } = moment;
    const shown = canvas.lanes[0] ? canvas.endSeconds(0) : 0;
    // While an old picture is stretched to its new place, the axis is there already.
    const shift = back === null ? 0 : Math.max(0, pausedAt - back) - shown;
    const end = shown + (Math.abs(shift) > 2 * secondsPerPixel ? shift : 0);
    this.axis.move(end, secondsPerPixel, size.width);
    const x = (stream: string, seconds: number) => {
      const own = this.endSeconds(stream);
      return own === null ? null : size.width - (own - seconds) / secondsPerPixel;
    };
    this.words.move(x, size.width);
    const mark = get("selection");
    const [from, to] = selection ? [x(selection.stream, selection.from), x(selection.stream, selection.to)] : [null, null];
    mark.hidden = from === null || to === null;
    if (from !== null && to !== null) {
      mark.style.left = `${from}px`;
      mark.style.width = `${Math.max(2, to - from)}px`;
    }
    if (canvas.lanes[0]?.clock === this.scrub.overview?.clock) this.scrub.draw(end - moment.span, end, back !== null);
  }

  /** The second at the right edge of a stream's picture. */
  private endSeconds(stream: string): number | null {
    const lane = this.canvas.lanes.findIndex((one) => one.stream === stream);
    return lane < 0 ? null : this.canvas.endSeconds(lane);
  }
}
