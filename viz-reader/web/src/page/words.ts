/**
 * Live words under the sound that they are of. Each is a button: pressed, its sound is shown and heard. What is not settled
 * yet stands behind them, in other letters: it may change, and is not read out.
 */

import type { WordEvent } from "../ring-client";

export interface Word {
  stream: string;
  text: string;
  from: number;
  to: number;
  startSeconds: number;
  endSeconds: number;
}

/** Something on the strip. */
interface Shown {
  element: HTMLElement;
  stream: string;
  startSeconds: number;
  width: number;
  /** Where it stands on the strip, in pixels; null while it is not seen. */
  place: number | null;
}

/** Words that are kept. */
const KEPT = 400;
/** Pixels between words. */
const GAP = 3;

export class Words {
  private readonly words: (Word & Shown)[] = [];
  /** Of each stream what is not settled yet. */
  private readonly unsettled = new Map<string, Shown>();
  /** What each stream's words are known up to, in frames: a final repeats what was committed. */
  private readonly known = new Map<string, number>();
  private session: string | null = null;
  /** All of them in one element, which is moved with the picture. */
  private readonly strip = document.createElement("div");
  /** How they were placed last: seconds of a pixel, streams. */
  private placedAs = "";

  constructor(place: HTMLElement, private readonly spoken: HTMLElement, private readonly pressed: (word: Word) => void) {
    this.strip.className = "strip";
    place.append(this.strip);
  }

  get list(): readonly Word[] {
    return this.words;
  }

  /** What is not settled yet, by stream. */
  get partials(): [string, string][] {
    return [...this.unsettled].map(([stream, { element }]) => [stream, element.textContent ?? ""]);
  }

  /** Takes what was said. */
  take(events: WordEvent[], session: string | null): void {
    if (session !== null && session !== this.session) {
      this.known.clear();
      for (const stream of [...this.unsettled.keys()]) this.settle(stream);
      this.session = session;
    }
    const fresh: string[] = [];
    for (const event of events) {
      const stream = String(event.stream ?? "");
      if (event.event === "partial") this.doubt(stream, event);
      if (event.event === "final") this.settle(stream);
      if (event.event !== "committed" && event.event !== "final") continue;
      for (const word of Array.isArray(event.words) ? event.words : []) {
        const { text, start_frame, end_frame, start_s, end_s } = word as Record<string, unknown>;
        const from = Number(start_frame);
        if (typeof text !== "string" || !Number.isFinite(from) || from < (this.known.get(stream) ?? 0)) continue;
        this.known.set(stream, Math.max(from + 1, Number(end_frame)));
        this.add({ stream, text: text.trim(), from, to: Number(end_frame), startSeconds: Number(start_s),
          endSeconds: Number(end_s) });
        fresh.push(text.trim());
      }
    }
    this.placedAs = "";
    // Screen readers say what stays, once.
    if (fresh.length > 0) this.spoken.textContent = fresh.join(" ");
  }

  private add(word: Word): void {
    const button = document.createElement("button");
    button.textContent = word.text;
    button.title = `${word.stream}, ${word.startSeconds.toFixed(2)} s`;
    // At once where it is touched: until a finger is lifted it has moved on. Keys press it by a click without a pointer.
    button.onpointerdown = (event) => event.button === 0 && this.press(word, button);
    button.onclick = (event) => event.detail === 0 && this.press(word, button);
    this.strip.append(button);
    this.words.push({ ...word, element: button, width: button.offsetWidth, place: 0 });
    while (this.words.length > KEPT) this.words.shift()!.element.remove();
  }

  /** Shows what a stream's unfinished text has behind its committed beginning. */
  private doubt(stream: string, { text, committed, start_s }: WordEvent): void {
    const rest = String(text ?? "").slice(String(committed ?? "").length).trim();
    if (rest === "") return this.settle(stream);
    let shown = this.unsettled.get(stream);
    if (!shown) {
      const element = document.createElement("span");
      element.className = "partial";
      element.ariaHidden = "true";
      this.strip.append(element);
      shown = { element, stream, startSeconds: 0, width: 0, place: 0 };
      this.unsettled.set(stream, shown);
    }
    shown.element.textContent = rest;
    shown.element.title = `${stream}: may change`;
    // Behind the last word that is settled, if that is of this utterance.
    const last = this.words.filter((word) => word.stream === stream).at(-1);
    shown.startSeconds = Math.max(Number(start_s) || 0, last?.endSeconds ?? 0);
    shown.width = shown.element.offsetWidth;
  }

  private settle(stream: string): void {
    this.unsettled.get(stream)?.element.remove();
    this.unsettled.delete(stream);
  }

  private press(word: Word, button: HTMLElement): void {
    for (const other of this.words) other.element.classList.toggle("heard", other.element === button);
    this.pressed(word);
  }

  /** Puts each word where its sound is. `x` is null for a stream that is not shown. */
  move(x: (stream: string, seconds: number) => number | null, width: number): void {
    if (this.words.length === 0 && this.unsettled.size === 0) return;
    const streams = new Set([...this.words, ...this.unsettled.values()].map((word) => word.stream));
    const stream = [...streams].find((one) => x(one, 0) !== null);
    this.strip.hidden = stream === undefined;
    if (stream === undefined) return;
    // Streams with words are of one session, and have one clock: the strip moves as one.
    const zero = x(stream, 0)!;
    const pixelsPerSecond = x(stream, 1)! - zero;
    const as = `${pixelsPerSecond} ${[...streams].map((one) => x(one, 0) !== null)}`;
    if (as !== this.placedAs) {
      this.placedAs = as;
      this.place((one, seconds) => (x(one, 0) === null ? null : seconds * pixelsPerSecond));
    }
    this.strip.style.transform = `translateX(${zero.toFixed(1)}px)`;
    for (const { element, place, width: wide } of [...this.words, ...this.unsettled.values()]) {
      const hidden = place === null || place + zero >= width || place + zero + wide <= -40;
      if (element.hidden !== hidden) element.hidden = hidden;
    }
  }

  /** Finds each word's place on the strip. Words that are longer than their sound make way for one another. */
  private place(x: (stream: string, seconds: number) => number | null): void {
    let free = -Infinity;
    const all: Shown[] = [...this.words, ...this.unsettled.values()];
    for (const word of all.sort((a, b) => a.startSeconds - b.startSeconds)) {
      const at = x(word.stream, word.startSeconds);
      word.place = at === null ? null : Math.max(at, free);
      if (word.place === null) continue;
      free = word.place + word.width + GAP;
      word.element.style.left = `${word.place.toFixed(1)}px`;
    }
  }
}
