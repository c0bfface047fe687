/** Mouse, touch and wheel on the picture: moving in time, zooming, pointing. */

export interface Gestures {
  /** Moves by so many pixels: to the right shows what was earlier. */
  pan(pixels: number): void;
  /** Zooms by a factor around a place, in pixels from the left. */
  zoom(factor: number, x: number): void;
  point(x: number, y: number): void;
  leave(): void;
  live(): void;
}

export function listen(stage: HTMLElement, on: Gestures): void {
  const down = new Map<number, { x: number; y: number }>();
  const place = (event: PointerEvent) => {
    const { left, top } = stage.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const apart = () => {
    const [a, b] = [...down.values()];
    return { distance: Math.max(10, Math.abs(a.x - b.x)), middle: (a.x + b.x) / 2 };
  };
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    stage.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
    stage.focus({ preventScroll: true });
  });
  stage.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = down.get(event.pointerId);
    if (!before) return on.point(now.x, now.y);
    if (down.size === 2) {
      const was = apart();
      down.set(event.pointerId, now);
      const is = apart();
      on.zoom(was.distance / is.distance, is.middle);
      return on.pan(is.middle - was.middle);
    }
    const moved = now.x - before.x;
    if (!stage.classList.contains("dragging") && Math.abs(moved) < 4) return;
    stage.classList.add("dragging");
    on.leave();
    down.set(event.pointerId, now);
    on.pan(moved);
  });
  const up = (event: PointerEvent) => {
    down.delete(event.pointerId);
    if (down.size === 0) stage.classList.remove("dragging");
  };
  stage.addEventListener("pointerup", up);
  stage.addEventListener("pointercancel", up);
  stage.addEventListener("pointerleave", () => on.leave());
  stage.addEventListener("dblclick", () => on.live());
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { left } = stage.getBoundingClientRect();
    // Some systems turn the wheel sideways by themselves while shift is held.
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) return on.pan(-sideways);
    on.zoom(Math.exp(Math.max(-80, Math.min(80, event.deltaY)) * 0.004), event.clientX - left);
  }, { passive: false });
}
