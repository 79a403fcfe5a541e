import { basename } from "node:path";
import type { RunOptions } from "./run.js";

/** What can be done where there can be no policy: the same settings from outside, as connections appear. */
export function instead(program: string, options: RunOptions): string {
  const { detect, path = [], outage, idle, interval, count, userTimeout, port = [], remote = [] } = options;
  const words = Object.entries({
    "--process": basename(program),
    "--detect": detect,
    "--path": path,
    "--outage": outage,
    "--idle": idle,
    "--interval": interval,
    "--count": count,
    "--user-timeout": userTimeout,
    "--port": port,
    "--remote": remote,
  }).flatMap(([name, given]) => [given ?? []].flat().map((value) => `${name} ${quoted(value)}`));
  return `start ${basename(program)} by itself, and beside it: deadpeer set --watch ${words.join(" ")}`;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
