/** Labels of the loudest tones, at the right edge of their lanes. */

import type { Tone } from "../messages";
import type { Lane } from "./layout";
import { hertz, level } from "./scale";

/** Labels of one lane are so far apart at the least, in pixels; a lane that is lower than `LOW` has none. */
const APART = 18;
const LOW = 30;

export class ToneLabels {
  private last: Tone[][] | null = null;

  constructor(private readonly place: HTMLElement) {}

  hide(): void {
    if (this.place.childElementCount > 0) this.place.replaceChildren();
    this.last = null;
  }

  /** `y`: where a frequency lies in a lane, from its top, in parts of its height. `lanes` in CSS pixels. */
  show(tones: Tone[][], lanes: Lane[], y: (lane: number, hz: number) => number): void {
    // They are told more often than they are looked for.
    if (this.last && JSON.stringify(tones) === JSON.stringify(this.last)) return;
    this.last = tones;
    let label = this.place.firstElementChild as HTMLElement | null;
    tones.forEach((some, lane) => {
      const { top, height } = lanes[lane]?.colours ?? { top: 0, height: 0 };
      const used: number[] = [];
      for (const { hz, levelDb } of some) {
        const at = top + height * y(lane, hz);
        if (height < LOW || at < top + 6 || at > top + height - 6
          || used.some((other) => Math.abs(other - at) < APART)) continue;
        used.push(at);
        label ??= this.place.appendChild(document.createElement("span"));
        const text = `${hertz(hz)}  ${level(levelDb)} dB`;
        if (label.textContent !== text) label.textContent = text;
        label.style.transform = `translateY(${(at - 8).toFixed(1)}px)`;
        label = label.nextElementSibling as HTMLElement | null;
      }
    });
    while (label) {
      const next = label.nextElementSibling as HTMLElement | null;
      label.remove();
      label = next;
    }
  }
}
