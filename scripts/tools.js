// What start, build and test share: installing this package's own dependencies and running programs.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Runs a program in the checkout with our terminal; ends this process with its status when it fails. */
export function run(command, args, options = {}) {
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (error) {
    console.error(`${command} cannot be started: ${error.message}`);
    process.exit(3);
  }
  if (signal) process.kill(process.pid, signal);
  if (status !== 0) process.exit(status ?? 1);
}

/** A tool from node_modules/.bin. */
export const bin = (name) => `${root}node_modules/.bin/${name}`;

/** Installs what package-lock.json names, once for each state of that file. */
export function installDependencies() {
  const wanted = createHash("sha256")
    .update(readFileSync(`${root}package-lock.json`))
    .digest("hex");
  const stamp = `${root}node_modules/.deadpeer-lock`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  // npm's own chatter goes to stderr, so that what we print stays ours.
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { stdio: ["ignore", 2, 2] });
  writeFileSync(stamp, wanted);
}

/** The lab's scenarios are data, which tsc leaves alone: puts them, and their schema, beside the compiled code. */
export function copyScenarios(compiled) {
  const from = `${root}src/lab`;
  const to = `${root}${compiled}/lab`;
  rmSync(`${to}/scenarios`, { recursive: true, force: true });
  cpSync(`${from}/scenarios`, `${to}/scenarios`, { recursive: true });
  cpSync(`${from}/scenario.schema.json`, `${to}/scenario.schema.json`);
}
