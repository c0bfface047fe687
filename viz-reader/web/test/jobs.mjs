// What the tests do with the page. Each job returns what it saw; the judging is the Rust test's, but for waits.
export * from "./jobs/away.mjs";
export * from "./jobs/bench.mjs";
export * from "./jobs/controls.mjs";
export * from "./jobs/looks.mjs";
export * from "./jobs/loudness.mjs";
export * from "./jobs/memory.mjs";
export * from "./jobs/module.mjs";
export * from "./jobs/pace.mjs";
export * from "./jobs/phone.mjs";
export * from "./jobs/rings.mjs";
export * from "./jobs/signals.mjs";
export * from "./jobs/theme.mjs";
export * from "./jobs/token.mjs";
export * from "./jobs/words.mjs";
