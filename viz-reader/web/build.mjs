// Bundles the page into dist/. Run by scripts/build-web, which builds the module too.
import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");
await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { page: "src/main.ts", worker: "src/worker.ts" },
  bundle: true,
  format: "iife",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  outdir: out,
});
await build({ absWorkingDir: here, entryPoints: ["src/page.css"], minify: true, target: ["chrome111", "firefox113", "safari16.4"], outdir: out });
for (const file of ["index.html", "icon.svg"]) await copyFile(join(here, "src", file), join(out, file));
