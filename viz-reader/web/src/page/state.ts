/** What all parts of the page look at: what is set, and what the worker told last. */

import type { LaneName, Status } from "../messages";
import type { StreamInfo } from "../ring-client";
import { LOW_HZ, type Settings, defaults, load } from "./settings";

export interface State {
  /** As the command line and the system wish it; what was chosen in this browser; and what comes of both. */
  first: Settings;
  chosen: Partial<Settings>;
  settings: Settings;
  streams: StreamInfo[];
  /** The channels that are shown. */
  lanes: LaneName[];
  colourMaps: Uint32Array[];
  status: Status | null;
  /** The connection: `connecting`, `open` or `refused`; and why. */
  connection: string;
  why: string;
  /** Texts that were missed. */
  wordsLost: number;
}

export function begin(): State {
  const [first, chosen] = [defaults(), load()];
  return {
    first, chosen, settings: { ...first, ...chosen }, streams: [], lanes: [], colourMaps: [], status: null,
    connection: "connecting", why: "", wordsLost: 0,
  };
}

/** The lower end of the frequency axis. */
export const lowHz = ({ settings }: State) => (settings.scale === 0 ? 0 : LOW_HZ);
