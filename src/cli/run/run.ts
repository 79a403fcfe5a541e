import { readFileSync } from "node:fs";
import { DeadpeerError } from "../../errors.js";
import { parseEndpoint, parsePort } from "../../host/address.js";
import type { PolicyRequest } from "../../host/policy/request.js";
import { enterRun } from "../../host/run/enter.js";
import { execProgram, inheritedDescriptors } from "../../kernel/exec.js";
import { requireLinux } from "../../kernel/platform.js";
import { exitStatus, statusOf } from "../exit.js";
import { note } from "../note.js";
import type { SettingsOptions } from "../settings-options.js";
import { defeating, readSettingsRequest } from "../settings-request.js";
import { instead } from "./instead.js";

/** What commander collects for `deadpeer run`. */
export interface RunOptions extends SettingsOptions {
  readonly onlyUnset?: true;
  readonly port?: readonly string[];
  readonly remote?: readonly string[];
}

/** As the shells, env(1) and nice(1) have it (POSIX.1-2017, sections 2.8.2 and env's "Exit status"). */
const notFound = 127;
const notStarted = 126;

/** Enters a cgroup with the policy, and becomes the program. */
export async function run(words: readonly string[], options: RunOptions): Promise<void> {
  requireLinux("cgroups");
  const inherited = inheritedDescriptors();
  const request = requestFrom(options);
  try {
    await enterRun(request, words[0] ?? "", note);
  } catch (error) {
    if (error instanceof DeadpeerError && statusOf(error.code) === exitStatus.missing) {
      note(error.message);
      note(`without it: ${instead(words[0] ?? "", options)}`);
      process.exitCode = exitStatus.missing;
      return;
    }
    throw error;
  }
  try {
    execProgram(bytesOf(words), inherited);
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    note(error.message);
    process.exitCode = error.errno === "ENOENT" ? notFound : notStarted;
  }
}

function requestFrom(options: RunOptions): PolicyRequest {
  const { onlyUnset = false, port = [], remote = [] } = options;
  const request = readSettingsRequest(options, "run");
  for (const { message } of defeating(request)) note(message);
  return {
    settings: request.change,
    onlyUnset,
    ports: port.map((text) => parsePort(text, "--port")),
    remotes: remote.map((text) => parseEndpoint(text, "--remote")),
  };
}

/** The words as they were given to us: an argument need not be UTF-8, and Node's reading of it would not be the same. */
function bytesOf(words: readonly string[]): Buffer[] {
  const given = readFileSync("/proc/self/cmdline");
  const all: Buffer[] = [];
  for (let start = 0; start < given.length; ) {
    const end = given.indexOf(0, start);
    all.push(given.subarray(start, end));
    start = end + 1;
  }
  return all.slice(-words.length);
}
