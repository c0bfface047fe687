/** The panel of settings: its fields are the settings' names. */

import type { StreamInfo } from "../ring-client";
import { type Settings, hopIn } from "./settings";

/** Lanes that are shown at the most. */
export const LANES_MAX = 16;
/** Lanes that are shown without a choice. */
const LANES_FIRST = 8;

type Change = (changes: Partial<Settings>) => void;

export class Panel {
  private readonly form: HTMLFormElement;
  private readonly list: HTMLElement;
  private listed = "";

  constructor(private readonly root: HTMLElement, private readonly opener: HTMLButtonElement, private readonly change: Change) {
    this.form = root.querySelector("form")!;
    this.list = root.querySelector("#channels div")!;
    this.form.onchange = ({ target }) => {
      const field = target as HTMLInputElement;
      if (field.name === "hop") field.value = String(hopIn(field.value) ?? "");
    };
    this.form.onsubmit = (event) => event.preventDefault();
    this.form.oninput = ({ target }) => this.input(target as HTMLInputElement | HTMLSelectElement);
    opener.onclick = () => this.toggle();
    root.querySelector<HTMLElement>("#close-settings")!.onclick = () => this.toggle(false);
  }

  toggle(open = this.root.hidden): void {
    // Keys go on where the panel was opened, and not nowhere.
    if (!open && this.root.contains(document.activeElement)) this.opener.focus();
    this.root.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
  }

  private input(field: HTMLInputElement | HTMLSelectElement): void {
    if (field.name === "hop") return this.change({ hop: hopIn(field.value) });
    const isText = field.name === "show";
    const value = field instanceof HTMLInputElement && field.type === "checkbox" ? field.checked : isText ? field.value
      : Number(field.value);
    this.change({ [field.name]: value });
  }

  /** Shows what is set. */
  show(settings: Settings): void {
    for (const field of this.form.querySelectorAll<HTMLInputElement | HTMLSelectElement>("[name]")) {
      const value = settings[field.name as keyof Settings];
      if (field instanceof HTMLInputElement && field.type === "checkbox") field.checked = Boolean(value);
      // A number that is being written is not put right under somebody's fingers.
      else if (document.activeElement !== field || field.type !== "number") field.value = String(value ?? "");
      const output = field.parentElement!.querySelector("output");
      if (output) output.textContent = field.name === "gainDb" ? `+${value} dB` : `${String(value).replace("-", "−")} dB`;
    }
  }

  /** Lists streams and their channels as switches. */
  channels(streams: StreamInfo[], chosen: (stream: StreamInfo) => number[],
    toggle: (stream: StreamInfo, channel: number) => void): void {
    const listed = JSON.stringify(streams.map((stream) => [stream.stream, stream.state, stream.channels,
      stream.sample_rate_hz, chosen(stream)]));
    if (listed === this.listed) return;
    this.listed = listed;
    this.list.replaceChildren(
      ...streams.flatMap((stream) => {
        const name = document.createElement("div");
        name.className = "stream";
        const rate = document.createElement("small");
        rate.textContent = `${stream.sample_rate_hz / 1000} kHz${stream.state === "live" ? "" : `, ${stream.state}`}`;
        name.append(stream.stream, rate);
        const list = document.createElement("div");
        list.className = "list";
        list.append(...Array.from({ length: stream.channels }, (_, channel) => {
          const button = document.createElement("button");
          button.type = "button";
          button.textContent = stream.labels[channel] ?? String(channel + 1);
          button.dataset.channel = `${stream.stream} ${channel}`;
          button.setAttribute("aria-pressed", String(chosen(stream).includes(channel)));
          button.onclick = () => toggle(stream, channel);
          return button;
        }));
        return [name, list];
      }),
    );
  }
}

/** The channels of each stream that are shown: those that were chosen, or the first ones of all that fit. */
export function chosenChannels(streams: StreamInfo[], settings: Settings): Map<string, number[]> {
  const chosen = new Map<string, number[]>();
  let [free, most] = [LANES_FIRST, LANES_MAX];
  for (const { stream, channels } of streams) {
    const wished = settings.channels[stream]?.filter((channel) => channel < channels);
    const list = wished ? wished.slice(0, most) : Array.from({ length: Math.max(0, Math.min(channels, free)) },
      (_, channel) => channel);
    free -= list.length;
    most -= list.length;
    chosen.set(stream, list);
  }
  return chosen;
}
