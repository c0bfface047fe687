/** What is drawn beside and over the picture, when it changes: names, frequencies, states, meters, tones. */

import type { PictureCanvas } from "./canvas";
import { get } from "./dom";
import { drawMarks, showStates } from "./marks";
import { drawMeters } from "./meters";
import type { Moment } from "./moment";
import { position } from "./scale";
import { type State, lowHz } from "./state";
import { ToneLabels } from "./tones";
import type { Views } from "./views";

export class Beside {
  /** Lanes, names or colours have changed. */
  marksWanted = true;
  /** Levels have come. */
  statusNew = false;
  private readonly tones = new ToneLabels(get("tones"));

  constructor(private readonly state: State, private readonly canvas: PictureCanvas, private readonly moment: Moment,
    private readonly views: Views) {}

  draw(): void {
    const { state, canvas } = this;
    if (!this.marksWanted && !this.statusNew) return;
    const places = this.views.cssPlaces();
    if (this.marksWanted) {
      this.marksWanted = false;
      this.tones.hide();
      drawMarks(get<HTMLCanvasElement>("marks"), places, this.names(), { scale: state.settings.scale, lowHz: lowHz(state),
        highHz: (lane) => this.highHz(lane) });
      showStates(get("states"), places, canvas.lanes);
    }
    if (!state.status || !this.statusNew) return;
    this.statusNew = false;
    drawMeters(get<HTMLCanvasElement>("meters"), places, state.status);
    const { labels, show, scale } = state.settings;
    if (!labels || show === "wave" || this.moment.back !== null) return this.tones.hide();
    this.tones.show(state.status.tones, places, (lane, hz) => 1 - position(scale, hz, lowHz(state), this.highHz(lane)));
  }

  private names(): string[] {
    const { lanes, streams } = this.state;
    return lanes.map(({ stream, channel }) => {
      const info = streams.find((one) => one.stream === stream);
      return info && info.channels > 1 ? `${stream} · ${info.labels[channel] ?? channel + 1}` : stream;
    });
  }

  /** The upper end of a lane's frequency axis. */
  highHz(lane: number): number {
    const { lanes } = this.canvas;
    const own = (lanes[lane]?.rateHz ?? 48_000) / 2;
    return Math.min(own, Math.max(...lanes.map((one) => one.rateHz / 2), 0) || own);
  }
}
