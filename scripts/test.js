// `npm test`: installs what the tests need, then checks formatting, lint, types, packaging and behaviour.
// Arguments name test files or folders below test/, e.g. `npm test -- plan kernel/tcp-info`.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { bin, copyScenarios, root, run } from "./tools.js";
import { installDebianPackages } from "./debian-packages.js";

const chosen = process.argv.slice(2);
run(process.execPath, ["scripts/build.js"]);
if (chosen.length === 0) {
  installDebianPackages();
  run(bin("biome"), ["check", "."]);
  run(bin("oxlint"), ["--type-aware", "--deny-warnings"]);
  run(bin("publint"), ["--strict"]);
  run(bin("attw"), ["--pack", ".", "--profile", "esm-only", "--quiet"]);
}
run(bin("tsc"), ["-p", "tsconfig.test.json"]);
copyScenarios(".build/src");

const tests = readdirSync(`${root}test`, { recursive: true })
  .map(String)
  .filter((name) => name.endsWith(".test.ts"))
  .filter((name) => chosen.length === 0 || chosen.some((part) => name.startsWith(part)))
  .sort()
  .map((name) => `.build/test/${name.replace(/\.ts$/, ".js")}`);
if (tests.length === 0) {
  console.error(`no test file below test/ starts with ${chosen.join(" or ")}`);
  process.exit(2);
}
// Lab and kernel tests mostly wait for timers, so more of them than cores run side by side.
const { status } = spawnSync(
  process.execPath,
  ["--test", "--test-concurrency=6", "--enable-source-maps", ...tests],
  { cwd: root, stdio: "inherit" },
);
process.exit(status ?? 1);
