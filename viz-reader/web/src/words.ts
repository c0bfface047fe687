/** Live words under the sound that they are of. Each is a button: pressed, its sound is shown and heard. */

import type { WordEvent } from "./ring-client";

export interface Word {
  stream: string;
  text: string;
  from: number;
  to: number;
  startSeconds: number;
  endSeconds: number;
}

interface Shown extends Word {
  button: HTMLButtonElement;
  width: number;
}

/** Words that are kept. */
const KEPT = 400;

export class Words {
  private shown: Shown[] = [];
  /** What each stream's words are known up to, in frames: a final repeats what was committed. */
  private readonly known = new Map<string, number>();

  private session: string | null = null;

  constructor(private readonly place: HTMLElement, private readonly spoken: HTMLElement, private readonly pressed: (word: Word) => void) {}

  get list(): readonly Word[] {
    return this.shown;
  }

  /** Takes what was said. Words that are settled stay; what is not settled yet is not shown, for it may change. */
  take(events: WordEvent[], session: string | null): void {
    if (session !== null && session !== this.session) {
      this.known.clear();
      this.session = session;
    }
    const fresh: string[] = [];
    for (const event of events) {
      if (event.event !== "committed" && event.event !== "final") continue;
      const stream = String(event.stream ?? "");
      for (const word of Array.isArray(event.words) ? event.words : []) {
        const { text, start_frame, end_frame, start_s, end_s } = word as Record<string, unknown>;
        const from = Number(start_frame);
        if (typeof text !== "string" || !Number.isFinite(from) || from < (this.known.get(stream) ?? 0)) continue;
        this.known.set(stream, Math.max(from + 1, Number(end_frame)));
        this.add({ stream, text: text.trim(), from, to: Number(end_frame), startSeconds: Number(start_s), endSeconds: Number(end_s) });
        fresh.push(text.trim());
      }
    }
    if (fresh.length > 0) this.spoken.textContent = fresh.join(" ");
  }

  private add(word: Word): void {
    const button = document.createElement("button");
    button.textContent = word.text;
    button.title = `${word.stream}, ${word.startSeconds.toFixed(2)} s`;
    button.onclick = () => this.press(word, button);
    this.place.append(button);
    this.shown.push({ ...word, button, width: button.offsetWidth });
    while (this.shown.length > KEPT) this.shown.shift()!.button.remove();
  }

  private press(word: Word, button: HTMLButtonElement): void {
    for (const other of this.shown) other.button.classList.toggle("heard", other.button === button);
    this.pressed(word);
  }

  /** Puts each word where its sound is. `x` is null for a stream that is not shown. */
  move(x: (stream: string, seconds: number) => number | null, width: number): void {
    let free = -Infinity;
    for (const { button, stream, startSeconds, width: wide } of this.shown) {
      const at = x(stream, startSeconds);
      const seen = at !== null && at < width && at + wide > -40;
      button.hidden = !seen;
      if (!seen) continue;
      // Words that are longer than their sound make way for one another.
      const place = Math.max(at, free);
      free = place + wide + 3;
      button.style.transform = `translateX(${place.toFixed(1)}px)`;
    }
  }
}
