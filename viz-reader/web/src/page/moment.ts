/** Which stretch of time is shown: now or a place in the past, and how long a pixel is. */

import { size } from "./dom";

/**
 * Seconds of a pixel: the deepest zoom, the deepest that still moves with the sound, the widest that does; and of a
 * picture.
 */
const DEEPEST = 1 / 24_000;
const LIVE_DEEPEST = 1 / 480;
const LIVE_WIDEST = 1 / 10;
const SPAN_MAX = 60;

interface Around {
  /** The newest and the oldest second that there are. */
  clock(): { newest: number; oldest: number } | undefined;
  /** It was paused. */
  paused(): void;
  /** Another stretch is wanted. */
  changed(): void;
}

export class Moment {
  /** Null: now. Otherwise how many seconds before the moment of the pause the right edge is. */
  back: number | null = null;
  /** The second of the pause. */
  pausedAt = 0;
  /** The scrolling that was set during the pause, for when it goes on. */
  private next: number | null = null;

  constructor(public secondsPerPixel: number, private readonly around: Around) {}

  /** Seconds that are seen. */
  get span(): number {
    return size.width * this.secondsPerPixel;
  }

  pause(): void {
    if (this.back !== null) return;
    this.back = 0;
    this.pausedAt = this.around.clock()?.newest ?? 0;
    this.around.paused();
    this.around.changed();
  }

  live(): void {
    this.back = null;
    this.secondsPerPixel = Math.min(Math.max(this.next ?? this.secondsPerPixel, LIVE_DEEPEST), LIVE_WIDEST);
    this.next = null;
    this.around.changed();
  }

  /** The right edge comes to so many seconds before the pause. */
  moveTo(seconds: number): void {
    this.pause();
    const most = Math.max(0, this.pausedAt - (this.around.clock()?.oldest ?? 0) - this.span / 2);
    this.back = Math.min(Math.max(0, seconds), most);
    this.around.changed();
  }

  /** The middle comes to this second of the session. */
  centre(seconds: number): void {
    this.pause();
    this.moveTo(this.pausedAt - seconds - this.span / 2);
  }

  /** Moves by so many pixels: to the right shows what was earlier. */
  pan(pixels: number): void {
    this.moveTo((this.back ?? 0) + pixels * this.secondsPerPixel);
  }

  /** Zooms by a factor around a place, in pixels from the left. */
  zoom(factor: number, x: number): void {
    const right = size.width - x;
    const next = Math.min(Math.max(this.secondsPerPixel * factor, DEEPEST), SPAN_MAX / size.width);
    // Deeper than anybody can follow: it stands still.
    if (this.back === null && next < LIVE_DEEPEST) this.pause();
    if (this.back !== null) this.back = Math.max(0, this.back + right * (this.secondsPerPixel - next));
    this.secondsPerPixel = next;
    this.around.changed();
  }

  /** Another scroll speed was set, in pixels a second. What stands still stays as it is until it goes on. */
  speed(pixels: number): void {
    if (this.back === null) this.secondsPerPixel = 1 / pixels;
    else this.next = 1 / pixels;
    this.around.changed();
  }
}
