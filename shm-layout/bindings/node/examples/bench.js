// What a validated read of 480 frames costs, beside one plain read of as many bytes.
//
//     node bench.js /dev/shm/tympan-$(id -u)/mic.ring

import { openSync, readSync } from "node:fs";
import { Ring } from "../tympan-ring.js";

const [FRAMES, ROUNDS, REPEAT] = [480, 2001, 20];

// Of REPEAT calls at a time, so that reading the clock does not count.
function p50Us(call) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begin = process.hrtime.bigint();
    for (let n = 0; n < REPEAT; n++) call();
    times.push(Number(process.hrtime.bigint() - begin) / REPEAT / 1000);
  }
  return times.sort((a, b) => a - b)[ROUNDS >> 1].toFixed(2);
}

const [path] = process.argv.slice(2);
if (path === undefined) {
  console.error("usage: bench.js RING");
  process.exit(2);
}
const ring = new Ring(path);
const { channels, dataOffset } = ring.info;
const { from, planar } = ring.newest(FRAMES);
const fd = openSync(path, "r");
const read = p50Us(() => ring.read(from, FRAMES, planar));
const plain = p50Us(() => readSync(fd, planar, 0, planar.byteLength, dataOffset));
console.log(`Node: validated read of ${FRAMES} x ${channels}: p50 ${read} us; one readSync of as much: p50 ${plain} us`);
ring.close();
