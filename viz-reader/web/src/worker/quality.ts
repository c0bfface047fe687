/**
 * How finely is computed. Whoever cannot keep up gets coarser transforms, one step after the other, and finer ones again
 * when there is time; frames that are missing are never hidden by it.
 */

import { Patience } from "../patience";

/** Divisors of the transform's length and factors of its hop. */
const STEPS = [
  { fft: 1, hop: 1 },
  { fft: 1, hop: 2 },
  { fft: 1, hop: 4 },
  { fft: 2, hop: 4 },
  { fft: 4, hop: 8 },
] as const;

/** Part of the time that may be spent computing; beyond it is too much. */
const LOAD_HIGH = 0.6;
/** Below it there is room for a finer step, which costs up to twice as much. */
const LOAD_LOW = 0.25;
/** Drawing fewer frames a second than this is falling behind, too. */
const FRAMES_LOW = 24;
/** How long things must be bad, and good, before a step, in milliseconds. */
const BAD_MS = 300;
const GOOD_MS = 2000;

export class Quality {
  step = 0;
  private readonly patience = new Patience(BAD_MS, GOOD_MS);

  /** The transform that is computed for one that is wished. They overlap by half at the least, or as is wished: no click lies between. */
  transform(fft: number, hop: number): { fft: number; hop: number } {
    const { fft: divisor, hop: factor } = STEPS[this.step];
    if (this.step === 0) return { fft, hop };
    const shorter = Math.max(Math.min(fft, 256), fft / divisor);
    return { fft: shorter, hop: Math.min(hop * factor, Math.max(shorter / 2, (shorter * hop) / fft)) };
  }

  /** Judges the last moments: true where the step has changed. `behindMs`: the age of the oldest frame that waits. */
  judge(now: number, load: number, behindMs: number, framesPerSecond: number): boolean {
    const bad = load > LOAD_HIGH || behindMs > 250 || framesPerSecond < FRAMES_LOW;
    const good = load < LOAD_LOW && behindMs < 100 && framesPerSecond > 2 * FRAMES_LOW - 8;
    const before = this.step;
    this.step = Math.min(STEPS.length - 1, Math.max(0, before - this.patience.judge(now, bad, good)));
    return this.step !== before;
  }
}
