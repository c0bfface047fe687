/** The page's elements. */

export const get = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

/** The parts of the page, by name. They are there before any script runs. */
export const stage = get("stage");

/** The size of the picture's place in CSS pixels. It is asked for in every frame, which must not cost a layout each time. */
export const size = { width: 0, height: 0 };

export function measureStage(): void {
  [size.width, size.height] = [stage.clientWidth, stage.clientHeight];
}
