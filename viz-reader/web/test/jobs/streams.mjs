// How the page asks for what was before it: its own code, with a server that answers when it is told to.

/** Three who want the past at the same time: what is asked for, and who was told of it before it was there for it. */
export async function manyWantThePast() {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({ entryPoints: ["src/worker/streams.ts"], bundle: true, format: "esm", write: false });
  const { Streams } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
  // A lane of a module that only knows which frames it has.
  const has = { first: 48_000, end: 48_000 };
  const call = {
    tv_lane_new: () => 1, tv_pairs_clear: () => {}, tv_end: () => has.end, tv_first: () => has.first, tv_missing: () => 0, tv_miss: () => {},
    tv_put: (_, begin) => (has.first = Math.min(has.first, begin)),
  };
  const [asked, told, served] = [[], [], []];
  const waiting = [];
  const client = {
    subscribe: () => {}, unsubscribe: () => {},
    frames: (_, from, to) => new Promise((answer) => {
      asked.push([from, to]);
      waiting.push(() => answer({ channels: [0], count: to - from, missing: [], samples: new Float32Array(to - from) }));
    }),
  };
  const streams = new Streams({ call, input: () => {} }, client);
  streams.wish([{ stream: "mic", channel: 0 }]);
  streams.epoch({ stream: "mic", session: "1", sample_rate_hz: 48_000, channels: 1, labels: [], first_frame: 0, at: 48_000 });
  const turns = async () => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  const want = (who, from) => streams.fetch("mic", from, () => told.push(who)).then(() => served.push([who, has.first]));
  const all = [want("picture", 24_000), want("word", 12_000), want("another", 30_000)];
  while (waiting.length > 0) {
    await turns();
    waiting.shift()();
    await turns();
  }
  await Promise.all(all);
  return { asked, told, served };
}
