/** Names of lanes and frequencies over the picture's left edge, and over a lane what is wrong with its stream. */

import type { LaneState } from "../messages";
import { FONT, colour, fit } from "./ink";
import type { Lane } from "./layout";
import { frequencies, position } from "./scale";

export interface Axis {
  scale: number;
  lowHz: number;
  highHz(lane: number): number;
}

/** Half the height of a label, with some air; and from a lane's top to the lower end of its name. */
const HALF = 8;
const NAME = 17;

/**
 * `lanes` in CSS pixels. The canvas is as wide as what stands on it: whatever lies over the picture is mixed in every
 * frame.
 */
export function drawMarks(canvas: HTMLCanvasElement, lanes: Lane[], names: string[], axis: Axis): void {
  const measure = canvas.getContext("2d")!;
  measure.font = `600 ${FONT}`;
  const ends = names.map((name) => measure.measureText(name).width + 10);
  // A frequency at a lane's upper edge stands beside the name.
  const crowded = lanes.some(({ top, colours }) => colours.height > 0 && colours.top < top + NAME);
  canvas.style.width = `${Math.ceil(Math.max(40, ...ends.map((end) => end + (crowded ? 40 : 0))))}px`;
  const { context } = fit(canvas);
  context.font = FONT;
  context.textBaseline = "middle";
  lanes.forEach((lane, index) => {
    const { top, height } = lane.colours;
    const highHz = axis.highHz(index);
    let free = top + height - 6;
    for (const hz of frequencies(axis.scale, axis.lowHz, highHz)) {
      const y = top + height * (1 - position(axis.scale, hz, axis.lowHz, highHz));
      if (height < 26 || y > free || y < top + 7) continue;
      free = y - 17;
      const x = y - HALF < lane.top + NAME ? ends[index] : 0;
      context.fillStyle = "#fff8";
      context.fillRect(x, Math.round(y), 5, 1);
      write(context, hz >= 1000 ? `${hz / 1000}k` : String(hz), x + 8, y, "#fff", "#000a");
    }
    write(context, names[index], 6, lane.top + 9, colour("text"), colour("shade"), true);
  });
}

function write(context: CanvasRenderingContext2D, text: string, x: number, y: number, ink: string, ground: string,
  bold = false): void {
  context.font = bold ? `600 ${FONT}` : FONT;
  const wide = context.measureText(text).width;
  context.fillStyle = ground;
  context.beginPath();
  context.roundRect(x - 3, y - 8, wide + 6, 15, 4);
  context.fill();
  context.fillStyle = ink;
  context.fillText(text, x, y);
}

/** Says over the middle of a lane that its stream is not live. */
export function showStates(place: HTMLElement, lanes: Lane[], states: LaneState[]): void {
  const labels = states.flatMap(({ state }, index) => {
    if (state === "live" || !lanes[index]) return [];
    const label = document.createElement("span");
    label.textContent = state === "waiting" ? "waiting for sound" : `the ring is ${state}`;
    label.style.top = `${lanes[index].top + lanes[index].height / 2}px`;
    return [label];
  });
  place.replaceChildren(...labels);
}
