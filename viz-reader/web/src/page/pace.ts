/** How fast is drawn, how long after its sound, and whether drawing keeps up. */

import { Patience } from "../patience";

/** Latencies that are remembered: ten seconds of them. */
const LATENCIES = 600;
/** Frames a second: below is too slow, above is quick; and how many such seconds must follow one before a step. */
const SLOW = 24;
const QUICK = 45;
const SLOW_SECONDS = 1;
const QUICK_SECONDS = 3;
const COARSE_MAX = 4;

export class Pace {
  private turns = 0;
  private drawn = 0;
  private secondAt = performance.now();
  private readonly patience = new Patience(SLOW_SECONDS, QUICK_SECONDS);
  private seconds = 0;
  private latencies: number[] = [];
  private writtenUs = 0;
  /** Pictures drawn in the last second. */
  framesPerSecond = 0;

  /** The browser asks for a frame. */
  turn(): void {
    this.turns += 1;
  }

  /** A picture was drawn, with frames that were written then (microseconds since 1970). */
  draw(writtenUs: number): void {
    this.drawn += 1;
    if (writtenUs <= this.writtenUs) return;
    this.writtenUs = writtenUs;
    this.latencies.push(performance.timeOrigin + performance.now() - writtenUs / 1000);
    if (this.latencies.length > LATENCIES) this.latencies.shift();
  }

  forgetLatencies(): void {
    this.latencies = [];
  }

  latency(part: number): number {
    const sorted = [...this.latencies].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  }

  /** Begins a second: in the one before nobody looked, and its few frames say nothing. */
  restart(): void {
    [this.turns, this.drawn, this.secondAt] = [0, 0, performance.now()];
  }

  /** Once a second: how many frames the browser asked for, in a second; null before. */
  second(): number | null {
    const seconds = (performance.now() - this.secondAt) / 1000;
    if (seconds < 1) return null;
    const rate = this.turns / seconds;
    this.framesPerSecond = this.drawn / seconds;
    this.restart();
    return rate;
  }

  /**
   * How coarse the picture is to be, after one more second: coarser where drawing is slow, finer again after some good
   * seconds.
   */
  coarse(now: number, rate: number): number {
    this.seconds += 1;
    const step = this.patience.judge(this.seconds, rate < SLOW, rate > QUICK);
    return Math.min(COARSE_MAX, Math.max(1, now * 2 ** -step));
  }
}
