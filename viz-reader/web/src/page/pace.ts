/** How fast is drawn, how long after its sound, and whether drawing keeps up. */

/** Latencies that are remembered: ten seconds of them. */
const LATENCIES = 600;
/** Frames a second: below is too slow, above is quick; and how many such seconds there must be before a step. */
const SLOW = 24;
const QUICK = 45;
const SLOW_SECONDS = 2;
const QUICK_SECONDS = 4;
const COARSE_MAX = 4;

export class Pace {
  private turns = 0;
  private drawn = 0;
  private secondAt = performance.now();
  private slowSeconds = 0;
  private quickSeconds = 0;
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

  /** Once a second: how many frames the browser asked for, in a second; null before. */
  second(): number | null {
    const seconds = (performance.now() - this.secondAt) / 1000;
    if (seconds < 1) return null;
    const rate = this.turns / seconds;
    this.framesPerSecond = this.drawn / seconds;
    [this.turns, this.drawn, this.secondAt] = [0, 0, performance.now()];
    return rate;
  }

  /**
   * How coarse the picture is to be, after one more second: coarser where drawing is slow, finer again after some good
   * seconds.
   */
  coarse(now: number, rate: number): number {
    this.slowSeconds = rate < SLOW ? this.slowSeconds + 1 : 0;
    this.quickSeconds = rate > QUICK ? this.quickSeconds + 1 : 0;
    let next = now;
    if (this.slowSeconds >= SLOW_SECONDS && now < COARSE_MAX) next *= 2;
    if (this.quickSeconds >= QUICK_SECONDS && now > 1) next /= 2;
    if (next !== now) [this.slowSeconds, this.quickSeconds] = [0, 0];
    return next;
  }
}
