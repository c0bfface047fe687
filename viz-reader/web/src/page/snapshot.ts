/** A PNG of what is seen: picture, names and axes, meters, words. */

import { colour } from "./ink";

export async function snapshot(parts: HTMLElement): Promise<Blob> {
  const ratio = devicePixelRatio || 1;
  const frame = parts.getBoundingClientRect();
  const canvas = new OffscreenCanvas(Math.round(frame.width * ratio), Math.round(frame.height * ratio));
  const context = canvas.getContext("2d")!;
  context.scale(ratio, ratio);
  context.fillStyle = colour("panel");
  context.fillRect(0, 0, frame.width, frame.height);
  context.imageSmoothingEnabled = false;
  for (const part of parts.querySelectorAll("canvas")) {
    const { left, top, width, height } = part.getBoundingClientRect();
    if (part.width === 0 || part.height === 0) continue;
    // What is scrolled reaches beyond its place.
    const place = part.parentElement!.getBoundingClientRect();
    context.save();
    context.beginPath();
    context.rect(place.left - frame.left, place.top - frame.top, place.width, place.height);
    context.clip();
    context.drawImage(part, left - frame.left, top - frame.top, width, height);
    context.restore();
  }
  context.textBaseline = "middle";
  for (const text of parts.querySelectorAll<HTMLElement>("#words button:not([hidden]), #words .partial:not([hidden]), #tones span, #states span")) {
    const { left, top, width, height } = text.getBoundingClientRect();
    const style = getComputedStyle(text);
    context.fillStyle = style.backgroundColor;
    context.beginPath();
    context.roundRect(left - frame.left, top - frame.top, width, height, 6);
    context.fill();
    context.fillStyle = style.color;
    context.font = `${style.fontSize} ${style.fontFamily}`;
    context.fillText(text.textContent ?? "", left - frame.left + 6, top - frame.top + height / 2 + 1);
  }
  return canvas.convertToBlob({ type: "image/png" });
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
