// The browser's processes, as the kernel sees them.
import { readFileSync } from "node:fs";

/** The processes that pages run in. */
export async function renderers(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  return processInfo.filter((one) => one.type === "renderer").map((one) => one.id);
}

export const stop = (pids) => pids.forEach((pid) => process.kill(pid, "SIGSTOP"));
export const goOn = (pids) => pids.forEach((pid) => process.kill(pid, "SIGCONT"));

/** Lets processes run 10 of 60 milliseconds, until it is ended; and for a while not at all (`hold`). */
export function aSixth(pids) {
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  let [on, longer] = [true, null];
  const turning = (async () => {
    while (on) {
      const now = longer;
      longer = null;
      stop(pids);
      const from = Date.now();
      await pause(now?.ms ?? 50);
      goOn(pids);
      now?.done({ from, to: Date.now() });
      await pause(10);
    }
  })();
  return {
    hold: (ms) => new Promise((done) => (longer = { ms, done })),
    end: () => ((on = false), turning),
  };
}

/** Memory of processes that no file is behind, in MiB. */
export const anonymousMb = (pids) =>
  pids.reduce((sum, pid) => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return sum + Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  }, 0);

/** Seconds of a processor that a process has used, to a hundredth: what the kernel counts in. */
export const usedSeconds = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};
