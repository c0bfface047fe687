// Reads Tympan's shared-memory rings with plain `fs` reads: Node ≥ 18, Linux, little-endian, no dependencies.
//
// What it does: opens a ring read-only, checks every byte it relies on, copies frames out as [channels][frames], and says
// exactly what was overwritten meanwhile. What it never does: write to a ring, slow its writer, map memory (so that not
// even a file that is cut off meanwhile can end the process). Frame numbers are Numbers, exact up to 2^53 (1,500 years at
// 192 kHz); times are BigInts of nanoseconds.

import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, readdirSync } from "node:fs";
import { endianness } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

if (endianness() !== "LE") throw new Error("tympan-ring: rings are little-endian, and so must the processor be");

const HEADER_BYTES = 4096;
const VERSION = 2n;
const FEATURE_OVERVIEW = 1n;
const FEATURE_LABELS = 2n;
const LABEL_BYTES = 32;
const RATE_HZ_MAX = 192_000;
const CHANNELS_MAX = 64;
const WRITER_LOOK_MS = 500;
const LOOK_EVERY_MS = 10;
const STATES = new Map([[1, "live"], [2, "closed"]]);

// The hot words lie in the first 144 bytes: commit, reserve, state, table count, gap frames.
const HOT_BYTES = 144;
const TWO_32 = 2 ** 32;

/** Anything this module throws about a ring. `kind` is one short word for each different reaction. */
export class RingError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = new.target.name;
    this.kind = kind;
  }
}

/** The file is not a ring that can be read: `missing`, `io`, `untrusted`, `version`, `feature` or `malformed`. */
export class AttachError extends RingError {}

/** The frames cannot be read: `lost` (go on at `to`), `not_yet` (those before `to` are there) or `before_first` (the
 * ring begins at `to`). */
export class ReadError extends RingError {
  constructor(kind, message, from, to) {
    super(kind, message);
    this.from = from;
    this.to = to;
  }
}

/** One ring, opened. */
export class Ring {
  #fd;
  #hot = new Uint32Array(HOT_BYTES / 4);
  #again = new Uint32Array(HOT_BYTES / 4);
  #pollMs;
  // The newest commit that was seen; commits only grow, so what lies before it needs no second look.
  #commit;

  /**
   * Attaches to a ring file.
   * @throws {AttachError}
   */
  constructor(path, { pollMs = 5 } = {}) {
    this.path = path;
    this.#pollMs = pollMs;
    const { fd, fileBytes } = open(path);
    try {
      const header = new Uint8Array(HEADER_BYTES);
      if (readSync(fd, header, 0, HEADER_BYTES, 0) !== HEADER_BYTES) throw malformed("shorter than its header");
      this.info = Object.freeze(parse(header, fileBytes));
    } catch (error) {
      closeSync(fd);
      throw error instanceof RingError ? error : new AttachError("io", `${path}: ${error.message}`);
    }
    this.#fd = fd;
    this.#commit = this.info.firstFrame;
  }

  /** Attaches to the newest epoch of a stream, or to the one that `options.epoch` names. */
  static ofStream(folder, stream, options = {}) {
    const name = options.epoch === undefined ? `${stream}.ring` : `${stream}.${options.epoch}.ring`;
    return new Ring(join(folder, name), options);
  }

  /** Closes the file; nothing else may be called after that. */
  close() {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  /** One past the newest frame that can be read. */
  get commit() {
    this.#lookAtHot();
    return this.#commit;
  }

  /** The oldest frame worth asking for: a little younger than the oldest that is there, so that a reader that begins
   * here is not lapped at once. */
  get oldest() {
    this.#lookAtHot();
    return this.#oldestFor(word(this.#hot, 14));
  }

  /** What the header says: "live", "closed" (in order) or "crashed". */
  get state() {
    this.#lookAtHot();
    return STATES.get(this.#hot[17]) ?? "crashed";
  }

  /** Frames of this epoch that were never captured, so far. */
  get gapFrames() {
    this.#lookAtHot();
    return word(this.#hot, 34);
  }

  /**
   * Frames `position` to `position + frames`, planar: channel `c` is `samples.subarray(c * frames, (c + 1) * frames)`.
   * @throws {ReadError} what `planar` holds then means nothing
   */
  read(position, frames, planar = new Float32Array(this.info.channels * frames)) {
    const { channels, capacityFrames, firstFrame, strideBytes, dataOffset } = this.info;
    if (!(Number.isInteger(position) && position >= 0 && Number.isInteger(frames) && frames >= 0)) {
      throw new RangeError(`frames ${position} and ${frames} more`);
    }
    if (planar.length !== channels * frames) throw new RangeError(`${planar.length} samples for ${channels} x ${frames}`);
    if (position < firstFrame) {
      throw new ReadError("before_first", `the ring begins at frame ${firstFrame}`, position, firstFrame);
    }
    if (position + frames > this.#commit) {
      this.#lookAtHot();
      if (position + frames > this.#commit) throw this.#notYet(position);
    }
    if (frames === 0) return planar;
    if (frames <= capacityFrames) {
      const index = position % capacityFrames;
      const first = Math.min(frames, capacityFrames - index);
      for (let channel = 0; channel < channels; channel++) {
        const plane = dataOffset + channel * strideBytes;
        const at = channel * frames * 4;
        this.#copy(planar, at, first * 4, plane + index * 4);
        if (first < frames) this.#copy(planar, at + first * 4, (frames - first) * 4, plane);
      }
    }
    // After the copies: if one of the samples was a newer one, the `reserve` that came before it is seen here.
    this.#lookAtHot();
    const reserve = word(this.#hot, 14);
    if (frames <= capacityFrames && reserve <= position + capacityFrames) return planar;
    const to = Math.max(this.#oldestFor(reserve), position + 1);
    throw new ReadError("lost", `frames ${position}..${to} were overwritten before they were read`, position, to);
  }

  /** The newest frames, and the position of the first. */
  newest(frames, planar) {
    const position = this.commit - frames;
    if (position < this.info.firstFrame) throw this.#notYet(this.info.firstFrame);
    return { from: position, planar: this.read(position, frames, planar) };
  }

  /**
   * Until a frame at or after `beyond` can be read, the ring ends, or the time is over. It looks every `pollMs` (5 ms
   * unless told otherwise): Node has no way to sleep on a file's memory. The writer's death is looked for twice a second.
   * @returns {Promise<{what: "ready" | "closed" | "crashed" | "timed out", commit: number}>}
   */
  async wait(beyond, timeoutMs) {
    const deadline = performance.now() + timeoutMs;
    let look = performance.now() + WRITER_LOOK_MS;
    for (;;) {
      const state = this.state;
      // After an end was seen a second look has the last commit, which the first may have missed.
      const commit = state === "live" ? this.#commit : this.commit;
      if (commit > beyond) return { what: "ready", commit };
      if (state !== "live") return { what: state, commit };
      const now = performance.now();
      if (now >= look || now >= deadline) {
        look = now + WRITER_LOOK_MS;
        if (!isAlive(this.info.writerPid, this.info.writerStartTime)) return this.#writerGone(beyond);
      }
      if (now >= deadline) return { what: "timed out", commit };
      await sleep(Math.min(this.#pollMs, deadline - now));
    }
  }

  /** The gaps that touch frames `from` to `to`, oldest first. */
  gaps(from = 0, to = Infinity) {
    const gaps = [];
    for (const entry of this.#entries(2)) {
      if (entry.from < entry.to && entry.from < to && entry.to > from) {
        gaps.push({ from: entry.from, to: entry.to, cause: entry.cause });
      }
    }
    return gaps;
  }

  /** When a frame was committed, in nanoseconds of CLOCK_MONOTONIC (as `process.hrtime.bigint()`), or with
   * `{ wall: true }` since 1970: from the nearest entry of the time table and the rate. Undefined before the first. */
  timeOf(frame, { wall = false } = {}) {
    let nearest;
    for (const entry of this.#entries(1)) {
      if (nearest === undefined || Math.abs(entry.from - frame) < Math.abs(nearest.from - frame)) nearest = entry;
    }
    if (nearest === undefined) return undefined;
    const distance = (BigInt(Math.abs(frame - nearest.from)) * 1_000_000_000n) / BigInt(this.info.sampleRateHz);
    const anchor = wall ? nearest.wallNs : nearest.monotonicNs;
    const ns = frame >= nearest.from ? anchor + distance : anchor - distance;
    return ns >= 0n && ns < 1n << 64n ? ns : undefined;
  }

  #writerGone(beyond) {
    const state = this.state;
    const commit = this.#commit;
    if (commit > beyond) return { what: "ready", commit };
    return { what: state === "closed" ? "closed" : "crashed", commit };
  }

  #notYet(position) {
    return new ReadError("not_yet", `frames up to ${this.#commit} are written so far`, position, this.#commit);
  }

  #oldestFor(reserve) {
    const { capacityFrames, firstFrame } = this.info;
    const oldest = reserve - capacityFrames;
    return oldest <= firstFrame ? firstFrame : oldest + Math.floor(capacityFrames / 64);
  }

  #copy(to, at, bytes, position) {
    const bytesRead = readSync(this.#fd, to, at, bytes, position);
    if (bytesRead !== bytes) throw new AttachError("malformed", `${this.path} was cut off`);
  }

  // The kernel copies bytes and promises no more, so a word may be caught half changed. Believed is a copy in which
  // `commit` and `reserve` are the same number (no write is under way), or one that came twice.
  #lookAtHot() {
    this.#copy(this.#hot, 0, HOT_BYTES, 0);
    const hot = this.#hot;
    for (let tries = 0; (hot[10] !== hot[14] || hot[11] !== hot[15]) && tries < 16; tries++) {
      this.#copy(this.#again, 0, HOT_BYTES, 0);
      const same = [10, 11, 14, 15].every((at) => hot[at] === this.#again[at]);
      hot.set(this.#again);
      if (same) break;
    }
    this.#commit = Math.max(word(hot, 10), this.info.firstFrame);
  }

  // All whole entries of a kind that are still there, oldest first.
  #entries(kind) {
    const { tableOffset, tableEntries, tableEntryBytes } = this.info;
    const bytes = tableEntries * tableEntryBytes;
    const [table, again] = [new BigUint64Array(bytes / 8), new BigUint64Array(bytes / 8)];
    this.#lookAtHot();
    this.#copy(table, 0, bytes, tableOffset);
    this.#copy(again, 0, bytes, tableOffset);
    const count = BigInt(this.#hot[32]) + BigInt(this.#hot[33]) * (1n << 32n);
    const found = [];
    for (let back = Math.min(tableEntries, Number(count)); back > 0; back--) {
      const index = count - BigInt(back);
      const at = (Number(index % BigInt(tableEntries)) * tableEntryBytes) / 8;
      const entry = table.subarray(at, at + 6);
      const stamp = 2n * index + 2n;
      if (entry[0] !== stamp || again[at] !== stamp) continue;
      this.#settle(entry, again.subarray(at, at + 6), tableOffset + at * 8);
      if (entry[0] !== stamp) continue;
      if (Number(entry[1] & 0xffff_ffffn) !== kind) continue;
      const [, kindAndCause, from, to, monotonicNs, wallNs] = entry;
      found.push({ cause: Number(kindAndCause >> 32n), from: Number(from), to: Number(to), monotonicNs, wallNs });
    }
    return found;
  }

  // Reads an entry until it is twice the same, and so neither written meanwhile nor caught half changed. The newest gap
  // may grow all the time; then the shortest that was seen is true.
  #settle(entry, next, offset) {
    let shortest = entry[3];
    for (let tries = 0; tries < 16; tries++) {
      const same = entry.every((value, n) => value === next[n]);
      if (next[3] < shortest) shortest = next[3];
      entry.set(next);
      if (same) return;
      this.#copy(next, 0, next.byteLength, offset);
    }
    entry[3] = shortest;
  }
}

/** A position in a stream, through all its epochs. `for await (const event of follower)` gives events for ever. */
export class Follower {
  #folder;
  #stream;
  #framesMax;
  #newestWhenLapped;
  #pollMs;
  #endSaid = false;

  /** Begins at the oldest frame of the stream's newest ring, as soon as there is one. `newestWhenLapped`: for meters and
   * pictures; loses more when late, and is on time again. */
  constructor(folder, stream, { framesMax = 4800, newestWhenLapped = false, pollMs = 5 } = {}) {
    if (!(Number.isInteger(framesMax) && framesMax > 0)) throw new RangeError(`framesMax: ${framesMax}`);
    this.#folder = folder;
    this.#stream = stream;
    this.#framesMax = framesMax;
    this.#newestWhenLapped = newestWhenLapped;
    this.#pollMs = pollMs;
    /** The ring it is in. */
    this.ring = undefined;
    /** The frame that comes next. */
    this.position = 0;
  }

  /** Lets the ring go. */
  close() {
    this.ring?.close();
    this.ring = undefined;
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (;;) yield await this.next(1000);
    } finally {
      this.close();
    }
  }

  /** The next thing that happened, waiting up to `timeoutMs` for it. */
  async next(timeoutMs = 1000) {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      if (this.ring !== undefined) {
        const { what, commit } = await this.ring.wait(this.position, Math.max(deadline - performance.now(), 0));
        if (what === "ready") return this.#take(commit);
        if (what === "timed out") return { kind: "waiting" };
        if (!this.#endSaid) {
          this.#endSaid = true;
          return { kind: what, at: commit };
        }
      }
      const entered = this.#enter();
      if (entered !== undefined) return entered;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) return { kind: "waiting" };
      await sleep(Math.min(leftMs, LOOK_EVERY_MS));
    }
  }

  #take(commit) {
    const from = this.position;
    const frames = Math.min(commit - from, this.#framesMax);
    try {
      const planar = this.ring.read(from, frames);
      this.position = from + frames;
      return { kind: "frames", from, frames, planar };
    } catch (error) {
      if (!(error instanceof ReadError)) throw error;
      this.position = error.to;
      // Only a file with impossible counters is not "lost" here: go on where it can be read.
      if (error.kind !== "lost") return { kind: "waiting" };
      if (this.#newestWhenLapped) this.position = Math.max(this.ring.commit, error.to);
      return { kind: "lost", from, to: this.position };
    }
  }

  #enter() {
    const old = this.ring;
    const options = { pollMs: this.#pollMs };
    let ring;
    try {
      if (old === undefined) {
        ring = Ring.ofStream(this.#folder, this.#stream, options);
      } else {
        // The smallest epoch after this one: none is passed over while its file is there.
        const epoch = Math.min(...this.#epochs().filter((epoch) => epoch > old.info.epoch));
        if (epoch === Infinity) return undefined;
        ring = Ring.ofStream(this.#folder, this.#stream, { ...options, epoch });
      }
    } catch (error) {
      if (error instanceof AttachError || error.code !== undefined) return undefined;
      throw error;
    }
    const begin = old === undefined ? ring.oldest : ring.info.firstFrame;
    const missing = old?.info.session === ring.info.session && begin > this.position;
    const span = { from: this.position, to: begin };
    if (missing && ring.info.previousEpoch !== old.info.epoch) {
      // Whole epochs came and went unread: that is a loss of this reader's, and no gap in the stream.
      ring.close();
      this.position = begin;
      return { kind: "lost", ...span };
    }
    const gap = missing ? span : undefined;
    old?.close();
    this.ring = ring;
    this.position = begin;
    this.#endSaid = false;
    return { kind: "new epoch", info: ring.info, gap };
  }

  #epochs() {
    const [begin, end] = [`${this.#stream}.`, ".ring"];
    const inside = (name) => (name.startsWith(begin) && name.endsWith(end) ? name.slice(begin.length, -end.length) : "");
    return readdirSync(this.#folder).map(inside).filter((number) => /^[0-9]+$/.test(number)).map(Number);
  }
}

function word(words, at) {
  return words[at] + words[at + 1] * TWO_32;
}

function malformed(why) {
  return new AttachError("malformed", `not a ring: ${why}`);
}

// Opens a file of this user's that nobody else can reach.
function open(path) {
  // NOFOLLOW and NONBLOCK: neither a symbolic link nor a FIFO may lead or hold us anywhere.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const untrusted = (why) => new AttachError("untrusted", `${path}: not a private regular file: ${why}`);
  let fd;
  try {
    fd = openSync(path, flags);
  } catch (error) {
    if (error.code === "ENOENT") throw new AttachError("missing", `there is no ring ${path}`);
    if (error.code === "ELOOP") throw untrusted("a symbolic link");
    throw new AttachError("io", `${path}: ${error.message}`);
  }
  try {
    const meta = fstatSync(fd);
    if (!meta.isFile()) throw untrusted("not a regular file");
    if (meta.uid !== process.geteuid()) throw untrusted("it belongs to another user");
    if ((meta.mode & 0o077) !== 0) throw untrusted("it is open to other users");
    if (meta.size < HEADER_BYTES) throw malformed("shorter than its header");
    if (meta.blocks * 512 < meta.size) throw untrusted("it has holes");
    return { fd, fileBytes: meta.size };
  } catch (error) {
    closeSync(fd);
    throw error instanceof RingError ? error : new AttachError("io", `${path}: ${error.message}`);
  }
}

// What the first page (a copy of it: the file may change meanwhile) says, believed only as far as it is consistent with
// itself and with the file's length. All sums are of BigInts: nothing overflows.
function parse(header, fileBytes) {
  const view = new DataView(header.buffer);
  const at = (offset) => view.getBigUint64(offset, true);
  if (Buffer.from(header.buffer, 0, 8).toString("latin1") !== "AUDITAB!") throw malformed("no AUDITAB! at its beginning");
  if (at(8) !== VERSION) {
    throw new AttachError("version", `the ring has layout version ${at(8)}, this module reads version ${VERSION}`);
  }
  if (view.getUint32(276, true) !== checksum(header)) throw malformed("wrong checksum");
  if (at(280) !== 0n) {
    throw new AttachError("feature", `the ring needs features ${at(280).toString(16)} that this module does not know`);
  }
  if (view.getUint32(272, true) !== 1) throw malformed("unknown sample format");
  const [rate, channels, capacity] = [at(16), at(24), at(32)];
  if (rate < 1n || rate > RATE_HZ_MAX || channels < 1n || channels > CHANNELS_MAX || capacity < 1n) {
    throw malformed("impossible rate, channels or capacity");
  }
  const [total, stride, data] = [at(264), at(352), at(360)];
  if (total !== BigInt(fileBytes) || stride * channels + data > total || capacity * 4n > stride) {
    throw malformed("samples outside of the file");
  }
  if (at(256) < HEADER_BYTES || at(256) > data) throw malformed("impossible header length");
  if (stride % 64n !== 0n || data % 64n !== 0n || data < HEADER_BYTES) throw malformed("unaligned samples");
  const [table, entries, entryBytes] = [at(368), at(376), at(384)];
  const tableFits = table >= HEADER_BYTES && table + entries * entryBytes <= data;
  if (entries === 0n || entryBytes < 64n || entryBytes % 8n !== 0n || table % 8n !== 0n || !tableFits) {
    throw malformed("table outside of its place");
  }
  // Beyond 2^53 a Number is not exact; no honest ring is there.
  for (const offset of [312, 320, 328, 344]) {
    if (at(offset) > Number.MAX_SAFE_INTEGER) throw malformed(`an impossible number at byte ${offset}`);
  }
  if (at(336) > 0xffff_ffffn) throw malformed("impossible pid");
  return {
    stream: parseName(header, at(392)),
    session: parseSession(header),
    epoch: Number(at(312)),
    previousEpoch: at(320) === 0n ? undefined : Number(at(320)),
    sampleRateHz: Number(rate),
    channels: Number(channels),
    capacityFrames: Number(capacity),
    firstFrame: Number(at(328)),
    writerPid: Number(at(336)),
    writerStartTime: Number(at(344)),
    labels: (at(288) & FEATURE_LABELS) === 0n ? [] : parseLabels(header, Number(channels)),
    overview: (at(288) & FEATURE_OVERVIEW) === 0n ? undefined : parseOverview(at, capacity, channels, total),
    strideBytes: Number(stride),
    dataOffset: Number(data),
    tableOffset: Number(table),
    tableEntries: Number(entries),
    tableEntryBytes: Number(entryBytes),
  };
}

function parseName(header, length) {
  if (length < 1n || length > 64n) throw malformed("no name");
  const name = text(header.subarray(400, 400 + Number(length)), "name");
  if (name.includes("/") || name.includes("\0") || name.startsWith(".")) throw malformed("name is not a file name");
  return name;
}

function parseSession(header) {
  const hex = Buffer.from(header.subarray(296, 312)).toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function parseLabels(header, channels) {
  return Array.from({ length: channels }, (_, channel) => {
    const bytes = header.subarray(512 + channel * LABEL_BYTES, 512 + (channel + 1) * LABEL_BYTES);
    const end = bytes.indexOf(0);
    return text(end < 0 ? bytes : bytes.subarray(0, end), "label");
  });
}

function parseOverview(at, capacity, channels, total) {
  const [offset, bins, binFrames, stride] = [at(464), at(472), at(480), at(488)];
  const outside = offset + stride * channels > total || bins * 8n > stride || offset < HEADER_BYTES;
  const covers = bins * binFrames >= capacity && bins * binFrames < 1n << 64n;
  if (outside || !covers || offset % 8n !== 0n || stride % 8n !== 0n) throw malformed("overview outside of its place");
  return { bins: Number(bins), binFrames: Number(binFrames), offset: Number(offset), strideBytes: Number(stride) };
}

function text(bytes, what) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw malformed(`${what} is not UTF-8`);
  }
}

// CRC-32 (IEEE) of what never changes. (zlib.crc32 is not in Node 18.)
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function checksum(header) {
  let crc = ~0;
  const update = (from, to, zero) => {
    for (let at = from; at < to; at++) crc = CRC_TABLE[(crc ^ (zero ? 0 : header[at])) & 255] ^ (crc >>> 8);
  };
  update(16, 40, false);
  update(256, 276, false);
  update(276, 280, true);
  update(280, HEADER_BYTES, false);
  return ~crc >>> 0;
}

// Whether the very process that has this id and this start (clock ticks since boot) lives. A zombie does not.
function isAlive(pid, startTime) {
  let stat;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return false;
  }
  // The second field is the program's name in parentheses, and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] !== "Z" && fields[0] !== "X" && fields[19] === String(startTime);
}
