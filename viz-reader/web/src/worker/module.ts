/** The WebAssembly module: `viz-reader/wasm`, whose names these are. */

interface Exports {
  memory: WebAssembly.Memory;
  tv_input(samples: number): number;
  tv_output(): number;
  tv_output_bytes(): number;
  tv_lane_new(rateHz: number, historyFrames: number): number;
  tv_lane_free(lane: number): void;
  tv_put(lane: number, from: number, offset: number, frames: number, live: number): void;
  tv_miss(lane: number, from: number, to: number, why: number): void;
  tv_clear(lane: number): void;
  tv_first(lane: number): number;
  tv_end(lane: number): number;
  tv_transform(window: number, frames: number, hop: number): number;
  tv_rows(scale: number, lowHz: number, highHz: number, rows: number, lowDb: number, highDb: number): number;
  tv_wave(lane: number, first: number, count: number, width: number): number;
  tv_colours(lane: number, first: number, count: number, width: number): number;
  tv_spectrum(lane: number, centre: number): number;
  tv_tones(lane: number, centre: number, floorDb: number, most: number): number;
  tv_meter(lane: number): number;
  tv_pair_new(rateHz: number): number;
  tv_pairs_clear(): void;
  tv_pair(pair: number, left: number, right: number, frames: number): number;
  tv_samples(lane: number, from: number, frames: number): number;
  tv_missing(lane: number, from: number, to: number): number;
  tv_colour_map(map: number): number;
  tv_position(scale: number, hz: number, lowHz: number, highHz: number): number;
  tv_hz(scale: number, position: number, lowHz: number, highHz: number): number;
}

/** The module, and its results as arrays. They are views: the next call may move the memory. */
export class Module {
  private constructor(readonly call: Exports) {}

  static async load(url: string): Promise<Module> {
    const { instance } = await WebAssembly.instantiateStreaming(fetch(url), {});
    return new Module(instance.exports as unknown as Exports);
  }

  /** Puts samples of all channels side by side into the input. */
  input(samples: Float32Array[]): void {
    const all = samples.reduce((sum, part) => sum + part.length, 0);
    const at = this.call.tv_input(all) / 4;
    const memory = new Float32Array(this.call.memory.buffer);
    let place = at;
    for (const part of samples) {
      memory.set(part, place);
      place += part.length;
    }
  }

  floats(count: number): Float32Array {
    return new Float32Array(this.call.memory.buffer, this.call.tv_output(), count);
  }

  bytes(count: number): Uint8Array {
    return new Uint8Array(this.call.memory.buffer, this.call.tv_output_bytes(), count);
  }

  /** 256 colours as the pixels of an image, whatever the order of this machine's bytes. */
  colourMap(map: number): Uint32Array {
    const bytes = this.bytes(this.call.tv_colour_map(map)).slice();
    return new Uint32Array(bytes.buffer);
  }
}
