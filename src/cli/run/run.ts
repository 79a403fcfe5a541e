import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { enterRun } from "../../host/run/enter.js";
import { execProgram, inheritedDescriptors } from "../../kernel/exec.js";
import { requireLinux } from "../../kernel/platform.js";
import { exitStatus, statusOf } from "../exit.js";
import { note } from "../note.js";
import { policyRequest, type PolicyRequestOptions, withoutPolicy } from "../policy/request.js";

/** What commander collects for `deadpeer run`. */
export type RunOptions = PolicyRequestOptions;

/** As the shells, env(1) and nice(1) have it (POSIX.1-2017, sections 2.8.2 and env's "Exit status"). */
const notFound = 127;
const notStarted = 126;

/** Enters a cgroup with the policy, and becomes the program. */
export async function run(words: readonly string[], options: RunOptions): Promise<void> {
  requireLinux("cgroups");
  const inherited = inheritedDescriptors();
  const request = policyRequest(options, "run");
  try {
    await enterRun(request, words[0] ?? "", note);
  } catch (error) {
    if (error instanceof DeadpeerError && statusOf(error.code) === exitStatus.missing) {
      note(error.message);
      const name = basename(words[0] ?? "");
      note(
        `without it: start ${name} by itself, and beside it: ${withoutPolicy(["--process", name], options)}`,
      );
      process.exitCode = exitStatus.missing;
      return;
    }
    throw error;
  }
  try {
    execProgram(bytesOf(words), inherited);
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    note(notStartedText(words[0] ?? "", error));
    process.exitCode = error.errno === "ENOENT" ? notFound : notStarted;
  }
}

/** Why a program could not be started, for whoever typed its name. */
function notStartedText(program: string, { errno, message }: DeadpeerError): string {
  const isPath = program.includes("/");
  switch (errno) {
    case "ENOENT":
      // execve(2) says the same of a file whose interpreter is missing.
      if (isPath && existsSync(program))
        return `${program}: the interpreter or loader that it names is not there`;
      return isPath ? `there is no program ${program}` : `there is no program ${program} in PATH`;
    case "EACCES":
      return `${program} may not be executed: it is no program, or this user may not run it`;
    case "ENAMETOOLONG":
    case "ENOTDIR":
    case "ELOOP":
      return `there is no program ${program}: no file can have that path (${errno})`;
    case "E2BIG":
      return `${program} could not be started: its arguments and environment are too long`;
    default:
      return `${program} could not be started: ${message}`;
  }
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
