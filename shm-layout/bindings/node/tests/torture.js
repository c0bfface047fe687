// A reader to be stopped and killed (tests/tests/torture/): follows the torture ring through its epochs until it is closed,
// looks at every sample, and counts. Prints one JSON object at its end. Every language has this program.
//
// torture.js FOLDER [--trust]: with --trust it copies what lies where LAYOUT.md says, always near the place of writing, and
// never asks whether it was overwritten meanwhile, for two seconds. That it finds wrong samples then shows that the others
// can.

import { openSync, readSync } from "node:fs";
import { join } from "node:path";
import { Follower } from "../tympan-ring.js";

const FRAMES_MAX = 8_192;

// How many samples are not what the writer wrote there: tests/src/ramp.rs has the same rule.
function wrongSamples(planar, from, frames) {
  let wrong = 0;
  const low = from % 2 ** 32 | 0;
  for (let channel = 0; (channel + 1) * frames <= planar.length; channel++) {
    const [at, beside] = [channel * frames, channel * 1_000_003];
    for (let i = 0; i < frames; i++) {
      if (planar[at + i] !== ((Math.imul(low + i, 7) + beside) & 0xff_ffff)) wrong++;
    }
  }
  return wrong;
}

async function follow(folder) {
  const counted = { begin: 0, end: 0, read: 0, lost: 0, gaps: 0, wrong: 0, words: 0, epochs: 0, crashes: 0 };
  const follower = new Follower(folder, "torture", { framesMax: FRAMES_MAX });
  for await (const event of follower) {
    if (event.kind === "frames") {
      counted.wrong += wrongSamples(event.planar, event.from, event.frames);
      counted.read += event.frames;
      counted.words += event.planar.length;
    } else if (event.kind === "lost") {
      counted.lost += event.to - event.from;
    } else if (event.kind === "new epoch") {
      if (counted.epochs === 0) counted.begin = follower.position;
      counted.epochs++;
      counted.gaps += event.gap === undefined ? 0 : event.gap.to - event.gap.from;
    } else if (event.kind === "crashed") {
      counted.crashes++;
    } else if (event.kind === "closed") {
      counted.end = event.at;
      return counted;
    }
  }
}

function trust(folder) {
  let [wrong, looks] = [0, 0];
  const fd = openSync(join(folder, "torture.ring"), "r");
  const header = new BigUint64Array(512);
  readSync(fd, header, 0, 4096, 0);
  const word = (at) => Number(header[at / 8]);
  const [channels, capacity, first, stride, begin] = [24, 32, 328, 352, 360].map(word);
  const planar = new Float32Array(channels * FRAMES_MAX);
  const until = performance.now() + 2000;
  while (performance.now() < until) {
    readSync(fd, header, 0, 64, 0);
    const oldest = Math.max(word(40) - capacity, first);
    const index = oldest % capacity;
    const before = Math.min(FRAMES_MAX, capacity - index);
    for (let channel = 0; channel < channels; channel++) {
      const [plane, at] = [begin + channel * stride, channel * FRAMES_MAX * 4];
      readSync(fd, planar, at, before * 4, plane + index * 4);
      if (before < FRAMES_MAX) readSync(fd, planar, at + before * 4, (FRAMES_MAX - before) * 4, plane);
    }
    wrong += wrongSamples(planar, oldest, FRAMES_MAX);
    looks++;
  }
  return { wrong, looks };
}

const [folder, ...rest] = process.argv.slice(2);
if (folder !== undefined && rest.length === 0) console.log(JSON.stringify(await follow(folder)));
else if (folder !== undefined && rest.length === 1 && rest[0] === "--trust") console.log(JSON.stringify(trust(folder)));
else {
  console.error("usage: torture.js FOLDER [--trust]");
  process.exitCode = 2;
}
