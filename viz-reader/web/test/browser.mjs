// Drives the page in a headless Chromium, for tests/tests/browser.rs and the bench. Its argument is a job as JSON; it
// prints one JSON object. What a job does is one of the functions in jobs.mjs.
//
// The browser is the system's: nothing is fetched. It talks to the one address of the job and to nobody else.
import { chromium } from "playwright-core";
import * as jobs from "./jobs.mjs";

const job = JSON.parse(process.argv[2]);
const browser = await chromium.launch({
  executablePath: job.chromium,
  // As root there is no sandbox; containers have a small /dev/shm, where rings are wanted.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", ...(job.args ?? [])],
});
try {
  const answer = await jobs[job.name](browser, job);
  console.log(JSON.stringify(answer));
} finally {
  await browser.close();
}
