/** How busy the worker is: its load, and how long its ticks take. */

/** Ticks that are remembered, and how often they are judged, in milliseconds: sorting them costs more than one of them. */
const TICKS = 1024;
const JUDGE_MS = 1000;

export class Busy {
  private readonly ticks = new Float64Array(TICKS);
  private count = 0;
  private busyMs = 0;
  private tickMs = 0;
  private since = performance.now();
  private judgedAt = 0;
  /** Part of its time that the worker computes, over the last third of a second. */
  load = 0;
  tickP50 = 0;
  tickP99 = 0;

  /** Something was computed, since `begin` (`performance.now()`). */
  took(begin: number): void {
    const took = performance.now() - begin;
    this.busyMs += took;
    this.tickMs += took;
  }

  /** What one message brought is computed, or as much of it as there is time for. */
  tick(): void {
    if (this.tickMs === 0) return;
    this.ticks[this.count % TICKS] = this.tickMs;
    this.count += 1;
    this.tickMs = 0;
  }

  /** Brings load and ticks up to date. */
  judge(now: number): void {
    const elapsed = now - this.since;
    this.since = now;
    this.load += (Math.min(1, this.busyMs / Math.max(1, elapsed)) - this.load) * Math.min(1, elapsed / 300);
    this.busyMs = 0;
    if (now - this.judgedAt < JUDGE_MS) return;
    this.judgedAt = now;
    const sorted = this.ticks.slice(0, Math.min(this.count, TICKS)).sort();
    this.tickP50 = sorted[Math.floor(sorted.length * 0.5)] ?? 0;
    this.tickP99 = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  }
}
