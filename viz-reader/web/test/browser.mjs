// Drives the page in a headless Chromium, for tests/tests/browser.rs and the bench. Each line of its input is a job as JSON;
// it answers each with a line: {"seen": ...} or {"error": ...}. What a job does is one of the functions in jobs.mjs.
//
// The browser is the system's: nothing is fetched. It talks to the one address of the job and to nobody else. One serves all
// jobs, each with contexts of its own, but those that look at its processes or give it arguments: these have an own one.
// Where the input ends, all of it ends: the program that gave the jobs is gone, however it went.
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import * as jobs from "./jobs.mjs";

// What browsers keep for themselves goes with this process.
const folder = mkdtempSync(join(tmpdir(), "browser-"));
process.env.TMPDIR = process.env.HOME = folder;

/** How long browsers may take to end, in milliseconds. */
const END_MS = 5000;
/** What keeps tabs behind others awake. */
const BACKGROUND = [
  "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
];

const launch = (job) =>
  chromium.launch({
    executablePath: job.chromium,
    // As root there is no sandbox; containers have a small /dev/shm, where rings are wanted.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", ...(job.args ?? []),
      ...(job.background ? ["--remote-debugging-port=0"] : [])],
    // For tabs that lie behind others, and are treated as such.
    ignoreDefaultArgs: job.background ? BACKGROUND : [],
  });

/** Promises of browsers: one that still starts has to end, too. */
const open = new Set();
let shared = null;

async function work(job) {
  const own = job.own || job.args || job.background;
  const starting = own || !shared?.isConnected() ? launch(job) : Promise.resolve(shared);
  open.add(starting);
  const browser = await starting;
  if (!own) shared = browser;
  try {
    return await jobs[job.name](browser, job);
  } finally {
    if (own) {
      open.delete(starting);
      await browser.close();
    } else {
      // A job that failed leaves its pages open.
      await Promise.all(browser.contexts().map((context) => context.close()));
    }
  }
}

/** Ends all of it. A browser writes to its folder until it has ended, and is not waited for without end. */
let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  const closed = Promise.allSettled([...open].map(async (starting) => (await starting).close()));
  await Promise.race([closed, new Promise((done) => setTimeout(done, END_MS))]);
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  process.exit(0);
}
process.stdout.on("error", end);
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, end);
const input = createInterface({ input: process.stdin });
input.on("close", end);
// One after the other, in the order of the lines.
let last = Promise.resolve();
input.on("line", (line) => {
  last = last.then(async () => {
    const answer = await work(JSON.parse(line)).then((seen) => ({ seen }), (error) => ({ error: String(error?.stack ?? error) }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  });
});
