/**
 * What the worker has computed and the page draws: columns, of each lane the last so many, in rings.
 *
 * Column 0 is the leftmost one when the picture was begun; column `c` lies in place `c % columns`. Where memory can be
 * shared the worker writes and the page reads it; where not, columns travel in messages (`Columns`).
 */

export interface Shape {
  lanes: number;
  columns: number;
  rows: number;
}

/** Reasons that columns are no sound, as in `viz-reader/wasm`; and those that only a picture has. */
export const Missing = { sound: 0, gap: 1, lost: 2, overwritten: 3, absent: 4, skipped: 5 } as const;

/** Numbers of a column of the wave: least sample, greatest, root mean square. */
export const WAVE = 3;

/** Bytes before the counts: when the newest frames in it were written. */
const HEAD = 8;

export interface Columns {
  lane: number;
  first: number;
  count: number;
  wave?: Float32Array;
  missing?: Uint8Array;
  colours?: Uint8Array;
  /** Why columns have no colours: a transform needs frames on both sides. */
  dark?: Uint8Array;
}

export class Picture {
  private readonly wave: Float32Array;
  private readonly missing: Uint8Array;
  private readonly dark: Uint8Array;
  private readonly colours: Uint8Array;
  /** Of each lane: columns of the wave that are there, and of the spectrogram. */
  private readonly done: Int32Array;
  private readonly written: Float64Array;

  private constructor(readonly shape: Shape, readonly buffer: ArrayBuffer | SharedArrayBuffer) {
    const { lanes, columns, rows } = shape;
    const cells = lanes * columns;
    const begin = HEAD + lanes * 8;
    this.written = new Float64Array(buffer, 0, 1);
    this.done = new Int32Array(buffer, HEAD, lanes * 2);
    this.wave = new Float32Array(buffer, begin, cells * WAVE);
    this.missing = new Uint8Array(buffer, begin + cells * WAVE * 4, cells);
    this.dark = new Uint8Array(buffer, begin + cells * (WAVE * 4 + 1), cells);
    this.colours = new Uint8Array(buffer, begin + cells * (WAVE * 4 + 2), cells * rows);
  }

  static bytes({ lanes, columns, rows }: Shape): number {
    return HEAD + lanes * 8 + lanes * columns * (WAVE * 4 + 2 + rows);
  }

  static create(shape: Shape, shared: boolean): Picture {
    const bytes = Picture.bytes(shape);
    return new Picture(shape, shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
  }

  static over(shape: Shape, buffer: ArrayBuffer | SharedArrayBuffer): Picture {
    return new Picture(shape, buffer);
  }

  /** When the newest frames that it has were written, in microseconds since 1970; 0 where that is not known. */
  get writtenUs(): number {
    return this.written[0];
  }

  set writtenUs(at: number) {
    this.written[0] = at;
  }

  waveDone(lane: number): number {
    return Atomics.load(this.done, lane * 2);
  }

  coloursDone(lane: number): number {
    return Atomics.load(this.done, lane * 2 + 1);
  }

  /** Puts columns in, and only then says that they are there. */
  put({ lane, first, count, wave, missing, colours, dark }: Columns): void {
    const { columns, rows } = this.shape;
    for (let column = 0; column < count; column++) {
      const cell = lane * columns + ((first + column) % columns);
      if (wave) this.wave.set(wave.subarray(column * WAVE, column * WAVE + WAVE), cell * WAVE);
      if (missing) this.missing[cell] = missing[column];
      if (dark) this.dark[cell] = dark[column];
      if (colours) this.colours.set(colours.subarray(column * rows, column * rows + rows), cell * rows);
    }
    if (wave) Atomics.store(this.done, lane * 2, first + count);
    if (colours) Atomics.store(this.done, lane * 2 + 1, first + count);
  }

  private cell(lane: number, column: number): number {
    return lane * this.shape.columns + (column % this.shape.columns);
  }

  missingAt(lane: number, column: number): number {
    return this.missing[this.cell(lane, column)];
  }

  darkAt(lane: number, column: number): number {
    return this.dark[this.cell(lane, column)];
  }

  /** Least sample, greatest and root mean square of a column. */
  waveAt(lane: number, column: number): [number, number, number] {
    const at = this.cell(lane, column) * WAVE;
    return [this.wave[at], this.wave[at + 1], this.wave[at + 2]];
  }

  /** The colours of a column, from the lowest row up: all of them, and where its own begin. */
  coloursAt(lane: number, column: number): [Uint8Array, number] {
    return [this.colours, this.cell(lane, column) * this.shape.rows];
  }
}
