// The Node reader as the system tests drive it (tests/tests/readers/): every language has this program.
//
// probe.js attach            reads paths from standard input, a line each; answers each with what is there
// probe.js follow DIR NAME   prints what happens in a stream, and its samples, until it is closed in order
// probe.js hammer PATH MS    attaches and reads again and again while the file changes; prints what came of it

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { AttachError, Follower, Ring, RingError } from "../tympan-ring.js";

const SOME = 16;
const hex = (text) => Buffer.from(text).toString("hex") || "-";

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

function outcome(name, read) {
  try {
    const planar = read();
    return `${name}:ok:${crc32(new Uint8Array(planar.buffer, planar.byteOffset, planar.byteLength))}`;
  } catch (error) {
    if (!(error instanceof RingError)) throw error;
    return error.kind === "lost" ? `${name}:lost:${error.from}:${error.to}` : `${name}:${error.kind}:${error.to}`;
  }
}

function look(ring) {
  const { info } = ring;
  const frames = Math.min(info.capacityFrames, SOME);
  return [
    "ok",
    ...[info.sampleRateHz, info.channels, info.capacityFrames, info.firstFrame, info.epoch, info.previousEpoch ?? 0],
    ...[info.writerPid, info.writerStartTime, ring.commit, ring.oldest, ring.gapFrames, ring.state],
    info.overview === undefined ? 0 : 1,
    info.session.replaceAll("-", ""),
    hex(info.stream),
    ...(info.labels.length > 0 ? [info.labels.map(hex).join(",")] : []),
    outcome("oldest", () => ring.read(ring.oldest, frames)),
    outcome("newest", () => ring.newest(frames).planar),
    outcome("first", () => ring.read(info.firstFrame, frames)),
    ...ring.gaps().map((gap) => `gap:${gap.from}:${gap.to}:${gap.cause}`),
    `monotonic:${ring.timeOf(ring.commit) ?? "-"}`,
    `wall:${ring.timeOf(ring.commit, { wall: true }) ?? "-"}`,
  ].join(" ");
}

async function attach() {
  for await (const path of createInterface({ input: process.stdin })) {
    let ring;
    try {
      ring = new Ring(path);
      print(`${look(ring)}\n`);
    } catch (error) {
      if (!(error instanceof AttachError)) throw error;
      print(`error ${error.kind} ${error.message}\n`);
    } finally {
      ring?.close();
    }
  }
}

// To the last byte, also into a pipe that is full.
function print(text) {
  let left = typeof text === "string" ? Buffer.from(text) : text;
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(1, left));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

async function follow(folder, stream) {
  const follower = new Follower(folder, stream, { framesMax: 32_768 });
  for await (const event of follower) {
    if (event.kind === "new epoch") {
      const gap = event.gap ?? { from: follower.position, to: follower.position };
      print(`epoch ${event.info.epoch} ${event.info.firstFrame} ${gap.from} ${gap.to}\n`);
    } else if (event.kind === "frames") {
      for (const gap of follower.ring.gaps(event.from, event.from + event.frames)) {
        print(`gap ${gap.from} ${gap.to} ${gap.cause}\n`);
      }
      print(`frames ${event.from} ${event.frames} ${follower.ring.info.channels}\n`);
      print(new Uint8Array(event.planar.buffer));
    } else if (event.kind === "lost") {
      print(`lost ${event.from} ${event.to}\n`);
    } else if (event.kind === "waiting") {
      print("waiting\n");
    } else {
      print(`${event.kind} ${event.at}\n`);
      if (event.kind === "closed") return;
    }
  }
}

async function hammer(path, ms) {
  let [attached, refused, good, bad] = [0, 0, 0, 0];
  const end = performance.now() + ms;
  while (performance.now() < end) {
    let ring;
    try {
      ring = new Ring(path);
    } catch (error) {
      if (!(error instanceof AttachError)) throw error;
      refused++;
      continue;
    }
    attached++;
    const frames = Math.min(ring.info.capacityFrames, SOME);
    for (let n = 0; n < 20; n++) {
      for (const read of [() => ring.newest(frames), () => ring.read(ring.oldest, frames)]) {
        try {
          read();
          good++;
        } catch (error) {
          if (!(error instanceof RingError)) throw error;
          bad++;
        }
      }
      ring.gaps();
      ring.timeOf(ring.commit);
      await ring.wait(ring.commit, 0);
    }
    ring.close();
  }
  print(`${attached} ${refused} ${good} ${bad}\n`);
}

const [mode, ...rest] = process.argv.slice(2);
if (mode === "attach" && rest.length === 0) await attach();
else if (mode === "follow" && rest.length === 2) await follow(...rest);
else if (mode === "hammer" && rest.length === 2) await hammer(rest[0], Number(rest[1]));
else {
  console.error("usage: probe.js attach | follow DIR NAME | hammer PATH MS");
  process.exitCode = 2;
}
