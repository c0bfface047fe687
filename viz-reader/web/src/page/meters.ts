/** Level meters beside the lanes: peak, root mean square, held peak, clips; and the correlation of pairs. */

import { colour, fit } from "./ink";
import type { Lane } from "./layout";
import type { Status } from "../messages";

const LOW_DB = -60;

export function decibels(factor: number): number {
  return factor > 0 ? 20 * Math.log10(factor) : -Infinity;
}

/** `lanes` in CSS pixels. */
export function drawMeters(canvas: HTMLCanvasElement, lanes: Lane[], { meters, pairs }: Status): void {
  const { context, width } = fit(canvas);
  const [accent, warn, bad, raised, soft, text] = ["accent", "warn", "bad", "raised", "soft", "text"].map(colour);
  context.font = '10px system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';
  context.textAlign = "center";
  lanes.forEach((lane, index) => {
    const meter = meters[index];
    if (!meter) return;
    const pair = pairs.find((one) => one.lane === index);
    const small = lane.height < 54;
    const bottom = lane.top + lane.height - (pair ? 14 : 3);
    const top = lane.top + (small ? 3 : 16);
    const tall = Math.max(2, bottom - top);
    const y = (factor: number) => bottom - tall * Math.min(1, Math.max(0, 1 - decibels(factor) / LOW_DB));
    const [x, wide] = [Math.round(width / 2) - 8, 16];
    context.fillStyle = raised;
    context.fillRect(x, top, wide, tall);
    context.globalAlpha = 0.45;
    context.fillStyle = accent;
    context.fillRect(x, y(meter.peak), wide, bottom - y(meter.peak));
    context.globalAlpha = 1;
    context.fillRect(x, y(meter.rms), wide, bottom - y(meter.rms));
    const held = decibels(meter.held);
    context.fillStyle = held > -0.1 ? bad : held > -6 ? warn : accent;
    if (held > LOW_DB) context.fillRect(x, y(meter.held) - 1, wide, 2);
    if (!small) {
      context.fillStyle = meter.clips > 0 ? bad : text;
      context.fillText(held > -100 ? held.toFixed(1).replace("-", "−") : "−∞", width / 2, lane.top + 11);
    }
    if (pair) {
      const middle = width / 2;
      context.fillStyle = raised;
      context.fillRect(4, bottom + 5, width - 8, 5);
      context.fillStyle = pair.value < -0.2 ? bad : pair.value < 0.2 ? warn : accent;
      const at = middle + (pair.value * (width - 12)) / 2;
      context.fillRect(Math.min(middle, at), bottom + 5, Math.max(2, Math.abs(at - middle)), 5);
      context.fillStyle = soft;
      context.fillRect(middle, bottom + 4, 1, 7);
    }
  });
}
