// `npm test`: installs what the tests need, then checks formatting, lint, types, packaging and behaviour.
// Arguments name test files or folders below test/, e.g. `npm test -- plan kernel/tcp-info`.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
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
// What an earlier run left that was killed; what is there at the end is then this one's.
cleanup();
// Kernel tests mostly wait for timers, so more of them than cores run side by side. The lab's do so too, but hold times against
// tolerances, and bring their own neighbours: they come after the others, one file after the other.
const ofLab = tests.filter((name) => /^\.build\/test\/(lab|cli\/lab|client\/faults)/.test(name));
const others = tests.filter((name) => !ofLab.includes(name));
const statuses = [await runFiles(others, 6), await runFiles(ofLab, 1)];
process.exit(Math.max(...statuses, nothingLeft() ? 0 : 1));

/**
 * Runs test files, so many at once; the status. A file that does not end by itself (a test that failed may have left a program
 * running) fails after ten minutes, and a runner that waits for such a program's output is ended after thirty, with what it waited for.
 */
async function runFiles(files, atOnce) {
  if (files.length === 0) return 0;
  const args = [
    "--test",
    `--test-concurrency=${atOnce}`,
    "--test-timeout=600000",
    "--enable-source-maps",
    ...files,
  ];
  const runner = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
  const tooLong = setTimeout(() => {
    console.error("the tests have not ended after 30 minutes; still running:");
    const left = descendants(runner.pid);
    for (const { pid, line } of left) console.error(`  ${pid} ${line}`);
    for (const { pid } of left) process.kill(pid, "SIGKILL");
    runner.kill("SIGKILL");
  }, 30 * 60_000);
  const [status] = await once(runner, "exit");
  clearTimeout(tooLong);
  return status ?? 1;
}

/** The processes below one, with their command lines. */
function descendants(ancestor) {
  const all = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((row) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(row))
    .filter((match) => match !== null)
    .map(([, pid, parent, line]) => ({ pid: Number(pid), parent: Number(parent), line }));
  const found = [];
  const known = new Set([ancestor]);
  for (const parent of known)
    for (const one of all.filter((process) => process.parent === parent)) {
      known.add(one.pid);
      found.push(one);
    }
  return found;
}

/** Everything of deadpeer's that nobody owns any more, as `deadpeer cleanup` sees it; none without root. */
function cleanup(...options) {
  if (process.getuid?.() !== 0) return [];
  const args = ["dist/cli/main.js", "cleanup", "--json", ...options];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`deadpeer cleanup ended with ${status}: ${stderr}`);
  return JSON.parse(stdout).removed;
}

/** The tests clean up after themselves, and so does all that they start. */
function nothingLeft() {
  const left = cleanup("--dry-run");
  for (const { what, name, why } of left)
    console.error(`the tests have left something: ${what} ${name} (${why})`);
  return left.length === 0;
}
