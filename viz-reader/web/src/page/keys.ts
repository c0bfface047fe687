/** Keys. */

/** Calls what is said for a key, named as `KeyboardEvent.key` does, letters small. Fields keep theirs. */
export function listenToKeys(keys: Record<string, () => void>): void {
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || (target.matches("input, select") && event.key !== "Escape")) return;
    // Space presses the button that has the focus.
    if (event.key === " " && target.matches("button")) return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}
