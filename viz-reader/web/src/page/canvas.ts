/** The picture on its canvas: takes what the worker computes and draws what is new. */

import type { Lane } from "./layout";
import type { LaneState } from "../messages";
import { type Ink, Painter } from "./paint";
import type { Picture } from "../picture";
import { type Band, type Show, showOn } from "./show";

/** How long an old picture stays while a new one is not whole. */
const STAY_MS = 400;

/** One picture, and how much of it is painted. */
class Sheet {
  readonly begun = performance.now();
  /** Of each lane: columns of the wave and of the spectrogram that are painted, and how far both are blank beyond. */
  private readonly painted: { wave: number; colours: number; waveBlank: number; coloursBlank: number }[];

  constructor(readonly serial: number, readonly picture: Picture, readonly lanes: LaneState[], readonly painter: Painter,
    readonly places: Lane[], readonly still: boolean, readonly back: number, readonly secondsPerPixel: number) {
    this.painted = lanes.map(() => ({ wave: 0, colours: 0, waveBlank: 0, coloursBlank: 0 }));
  }

  /** One past the rightmost column of a lane's clock. */
  edge(lane: number): number {
    if (this.still) return this.picture.shape.columns;
    let edge = 0;
    for (let other = 0; other < this.lanes.length; other++) {
      if (this.lanes[other].clock === this.lanes[lane].clock) edge = Math.max(edge, this.picture.waveDone(other));
    }
    return edge;
  }

  /** Whether it shows as much as there is to be shown at once. */
  whole(): boolean {
    const { columns } = this.picture.shape;
    const done = this.lanes.every(({ state }, lane) => state !== "live" || this.picture.coloursDone(lane) >= columns * 0.9);
    return done || performance.now() - this.begun > STAY_MS;
  }

  /** Paints what is new: the first column and how many. */
  paint(): { from: number; count: number } {
    const { picture, painter, places } = this;
    const { columns } = picture.shape;
    let [from, to] = [Infinity, 0];
    this.lanes.forEach((_, lane) => {
      const one = this.painted[lane];
      const edge = this.edge(lane);
      const [wave, colours] = [picture.waveDone(lane), picture.coloursDone(lane)];
      const each = (begin: number, end: number, paint: (column: number) => void) => {
        begin = Math.max(begin, edge - columns);
        if (begin >= end) return;
        from = Math.min(from, begin);
        to = Math.max(to, end);
        for (let column = begin; column < end; column++) paint(column);
      };
      each(one.wave, wave, (column) => painter.wave(picture, lane, column));
      each(one.colours, colours, (column) => painter.spectrum(picture, lane, column));
      one.wave = wave;
      one.colours = colours;
      if (!this.still) {
        each(Math.max(wave, one.waveBlank), edge, (column) => painter.blank(places[lane].wave, column));
        each(Math.max(colours, one.coloursBlank), edge, (column) => painter.blank(places[lane].colours, column));
        one.waveBlank = one.coloursBlank = edge;
      }
    });
    return from < to ? { from, count: to - from } : { from: 0, count: 0 };
  }

  /** Parts of the image that are scrolled alike. */
  bands(): Band[] {
    const bands: Band[] = [];
    const { columns } = this.picture.shape;
    this.places.forEach(({ top, height }, lane) => {
      const start = this.still ? 0 : this.edge(lane) % columns;
      const last = bands[bands.length - 1];
      if (last && last.start === start) last.height = top + height - last.top;
      else bands.push({ top, height, start });
    });
    // Below the last lane there are rows that no lane has: the height is not always a multiple.
    const last = bands[bands.length - 1];
    if (last) last.height = this.painter.height - last.top;
    return bands;
  }
}

export class PictureCanvas {
  private readonly show: Show;
  private shown: Sheet | null = null;
  private coming: Sheet | null = null;
  /** Draws since the page was opened. */
  draws = 0;

  constructor(private readonly canvas: HTMLCanvasElement, wish: string | null) {
    this.show = showOn(canvas, wish);
  }

  get kind(): string {
    return this.show.kind;
  }

  /** A picture was begun. The one before stays until it is whole. */
  begin(serial: number, picture: Picture, lanes: LaneState[], places: Lane[], height: number, ink: Ink, colours: Uint32Array,
    gain: number, back: number | null, secondsPerPixel: number): void {
    const painter = new Painter(picture.shape.columns, height, places, ink, colours, gain);
    this.coming = new Sheet(serial, picture, lanes, painter, places, back !== null, back ?? 0, secondsPerPixel);
  }

  /** The picture that messages of this number are for. */
  pictureOf(serial: number): Picture | null {
    return [this.coming, this.shown].find((sheet) => sheet?.serial === serial)?.picture ?? null;
  }

  get lanes(): LaneState[] {
    return this.shown?.lanes ?? [];
  }

  get serial(): number {
    return this.shown?.serial ?? -1;
  }

  get picture(): Picture | null {
    return this.shown?.picture ?? null;
  }

  /** Whether what was asked for last is what is seen. */
  get settled(): boolean {
    return this.coming === null;
  }

  /** A ring has come to its end. */
  ended(stream: string, state: string): void {
    for (const lane of this.lanes) if (lane.stream === stream) lane.state = state;
  }

  /** Draws what is new; false where nothing is. */
  draw(): boolean {
    let swapped = false;
    if (this.coming?.whole()) {
      this.shown = this.coming;
      this.coming = null;
      swapped = true;
    }
    const sheet = this.shown;
    if (!sheet) return false;
    const changed = sheet.paint();
    if (!swapped && changed.count === 0) return false;
    const { image } = sheet.painter;
    if (this.canvas.width !== image.width || this.canvas.height !== image.height) {
      [this.canvas.width, this.canvas.height] = [image.width, image.height];
    }
    const bands = sheet.bands();
    const all = swapped || bands.length > 1 ? { from: 0, count: image.width } : changed;
    this.show.draw(image, bands, all);
    this.draws += 1;
    return true;
  }

  /** The second at the right edge of a lane's picture. */
  endSeconds(lane: number): number {
    const sheet = this.shown;
    if (!sheet?.lanes[lane]) return 0;
    const { baseFrame, width, rateHz } = sheet.lanes[lane];
    return (baseFrame + sheet.edge(lane) * width) / rateHz;
  }

  /** The column under a place, from the left in parts of the width. */
  columnAt(lane: number, part: number): number {
    const columns = this.shown?.picture.shape.columns ?? 0;
    return this.shown ? this.shown.edge(lane) - columns + Math.floor(part * columns) : 0;
  }

  /** Until the picture of a new place is there, the old one is moved and stretched to it. */
  stretch(back: number | null, secondsPerPixel: number): void {
    const sheet = this.shown;
    const { style } = this.canvas;
    if (!sheet || (sheet.still && back === sheet.back && secondsPerPixel === sheet.secondsPerPixel) || back === null
      || !sheet.still) {
      style.transform = "";
      return;
    }
    style.transformOrigin = "100% 0";
    style.transform = `translateX(${((back - sheet.back) / secondsPerPixel).toFixed(1)}px) scaleX(${(sheet.secondsPerPixel / secondsPerPixel).toFixed(4)})`;
  }
}
