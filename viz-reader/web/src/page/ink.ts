/** Colours of the theme, and canvases that are drawn in CSS pixels. */

export const FONT = '11px system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

/** Asking for a style costs a look at all of them: each colour is asked for once. */
const known = new Map<string, string>();
let theme: string | undefined;

/** A colour of the style sheet. */
export function colour(name: string): string {
  const { dataset } = document.documentElement;
  if (dataset.theme !== theme) known.clear();
  theme = dataset.theme;
  let value = known.get(name);
  if (value === undefined) {
    value = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
    known.set(name, value);
  }
  return value;
}

/** A colour of a style sheet (#rgb or #rrggbb) as a pixel. */
export function pixel(colour: string): number {
  let hex = colour.trim().replace("#", "");
  if (hex.length === 3) hex = [...hex].map((digit) => digit + digit).join("");
  const bytes = new Uint8Array([0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) || 0).concat(255));
  return new Uint32Array(bytes.buffer)[0];
}

/** Makes a canvas as large as it is shown, empties it, and lets its context count in CSS pixels. */
export function fit(canvas: HTMLCanvasElement): { context: CanvasRenderingContext2D; width: number; height: number } {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  const [wide, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== tall) [canvas.width, canvas.height] = [wide, tall];
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
