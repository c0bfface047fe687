/** Asks the worker for pictures: of which channels, which time, and how fine. */

import type { FromWorker, ToWorker } from "../messages";
import { Picture } from "../picture";
import type { PictureCanvas } from "./canvas";
import { size } from "./dom";
import { colour, pixel } from "./ink";
import { type Lane, lanesIn } from "./layout";
import type { Moment } from "./moment";
import { lookOf } from "./settings";
import type { State } from "./state";

/** A picture that does not become whole is not waited for. */
const PATIENCE_MS = 250;
/** Pixels between two lanes. */
const GAP = 3;
/** Questions whose answers are still waited for. */
const IN_FLIGHT = 20;

interface Asked {
  height: number;
  places: Lane[];
  back: number | null;
  secondsPerPixel: number;
}

export class Views {
  /** Where lanes lie, in pixels of the picture. */
  places: Lane[] = [];
  /** Pixels of the screen for each of the picture, along each side: more where drawing falls behind. */
  coarse = 1;
  private wanted = false;
  private sentAt = 0;
  private serial = 0;
  private readonly inFlight = new Map<number, Asked>();

  constructor(private readonly state: State, private readonly canvas: PictureCanvas, private readonly moment: Moment,
    private readonly tell: (message: ToWorker) => void) {}

  /** Asks for a new picture; in the next frame, and not before the last one is there. */
  want(): void {
    this.wanted = true;
  }

  /** Pixels of the picture for each CSS pixel. */
  get ratio(): number {
    return (devicePixelRatio || 1) / this.coarse;
  }

  /** Whether what is wanted is what is seen. */
  get settled(): boolean {
    return this.canvas.settled && !this.wanted && this.canvas.serial === this.serial;
  }

  /** Where lanes lie, in CSS pixels. */
  cssPlaces(): Lane[] {
    const { ratio } = this;
    const part = ({ top, height }: { top: number; height: number }) => ({ top: top / ratio, height: height / ratio });
    return this.places.map((lane) => ({ ...part(lane), wave: part(lane.wave), colours: part(lane.colours) }));
  }

  /** Asks, if there is a reason to. */
  send(): void {
    const { state, ratio } = this;
    const { back, secondsPerPixel } = this.moment;
    const now = performance.now();
    if (!this.wanted || state.colourMaps.length === 0 || (!this.canvas.settled && now - this.sentAt < PATIENCE_MS)) return;
    if (size.width === 0 || state.lanes.length === 0) return;
    this.wanted = false;
    this.sentAt = now;
    const [columns, height] = [size.width, size.height].map((pixels) => Math.max(16, Math.round(pixels * ratio)));
    this.places = lanesIn(height, state.lanes.length, state.settings.show, Math.max(1, Math.round(GAP * ratio)));
    const rates = state.lanes.map((lane) => state.streams.find((one) => one.stream === lane.stream)?.sample_rate_hz ?? 48_000);
    this.serial += 1;
    this.inFlight.set(this.serial, { height, places: this.places, back, secondsPerPixel });
    this.inFlight.delete(this.serial - IN_FLIGHT);
    const secondsPerColumn = secondsPerPixel / ratio;
    this.tell({
      type: "view",
      view: {
        serial: this.serial, lanes: state.lanes, columns, rows: Math.max(1, this.places[0]?.colours.height ?? 1),
          secondsPerColumn, back,
        look: lookOf(state.settings, Math.max(...rates), secondsPerColumn),
      },
    });
  }

  /** The worker has begun one; false where it is not the one that was asked for last. */
  begun({ serial, shape, lanes, buffer }: Extract<FromWorker, { type: "picture" }>): boolean {
    const asked = this.inFlight.get(serial);
    if (!asked || serial !== this.serial) return false;
    const { settings, colourMaps } = this.state;
    const picture = buffer ? Picture.over(shape, buffer) : Picture.create(shape, false);
    const [ground, wave, body, axis, bad, gap, warn] = ["ground", "wave-soft", "wave", "line", "bad", "faint",
      "warn"].map((name) => pixel(colour(name)));
    const ink = { ground, wave, body, axis, clip: bad, gap, lost: bad, skipped: warn };
    const { places, height, back, secondsPerPixel } = asked;
    this.canvas.begin(serial, picture, lanes, places, height, ink, colourMaps[settings.colours], 10 ** (settings.gainDb / 20),
      back, secondsPerPixel);
    return true;
  }
}
