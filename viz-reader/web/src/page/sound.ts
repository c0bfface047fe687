/** Plays samples. */

let context: AudioContext | null = null;
let playing: AudioBufferSourceNode | null = null;

/** Plays channels of one length; what was playing ends. */
export async function play(samples: Float32Array[], rateHz: number): Promise<void> {
  if (samples.length === 0 || samples[0].length === 0) return;
  context ??= new AudioContext();
  if (context.state === "suspended") {
    // A finger counts as somebody's wish to hear only when it is lifted.
    addEventListener("pointerup", () => void context?.resume(), { once: true });
    await context.resume();
  }
  playing?.stop();
  const buffer = context.createBuffer(Math.min(samples.length, 32), samples[0].length, rateHz);
  samples.slice(0, 32).forEach((part, channel) => buffer.copyToChannel(new Float32Array(part), channel));
  playing = context.createBufferSource();
  playing.buffer = buffer;
  playing.connect(context.destination);
  playing.start();
}
