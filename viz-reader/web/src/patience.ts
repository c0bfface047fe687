/** When to step down and up: at once is too soon, for a moment's trouble says nothing of the next one. */
export class Patience {
  private badSince: number | null = null;
  private goodSince: number | null = null;

  /** How long things must be bad, and good, before a step; in the unit of `judge`'s `now`. */
  constructor(private readonly bad: number, private readonly good: number) {}

  /** The step that is due: -1 where things have been bad for so long, 1 where good, otherwise 0. */
  judge(now: number, bad: boolean, good: boolean): -1 | 0 | 1 {
    this.badSince = bad ? (this.badSince ?? now) : null;
    this.goodSince = good ? (this.goodSince ?? now) : null;
    const step = this.badSince !== null && now - this.badSince >= this.bad ? -1
      : this.goodSince !== null && now - this.goodSince >= this.good ? 1 : 0;
    if (step !== 0) this.badSince = this.goodSince = null;
    return step;
  }
}
