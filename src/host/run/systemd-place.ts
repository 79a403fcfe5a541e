import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { DeadpeerError } from "../../errors.js";
import { processesIn } from "../../kernel/cgroup-changes.js";
import { cgroupMount } from "../../kernel/cgroups.js";
import { newOwnedName } from "../../kernel/owned-names.js";
import { processCgroup } from "../../kernel/processes.js";
import type { Place } from "./place.js";

/** Says that it is there, and stays until nobody holds the other end of its input. */
const standIn = "echo here && exec cat >/dev/null";

/**
 * A transient scope of systemd's, which removes it by itself when the last process has left. A scope begins with a process in it;
 * until the program comes, another stands in for it.
 *
 * @throws DeadpeerError `tool-missing` with systemd's words.
 */
export async function systemdPlace(program: string): Promise<Place> {
  const options = ["--scope", "--quiet", "--collect", `--unit=${newOwnedName("run")}`];
  const description = `--description=deadpeer run: ${program}`;
  const child = spawn(
    "systemd-run",
    [...options, description, ...sliceOption(), "--", "/bin/sh", "-c", standIn],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  child.stdin.on("error", () => {});
  let words = "";
  child.stderr.on("data", (text: Buffer) => (words += text.toString()));
  const ended = once(child, "close").then(
    () => problem(words.trim() || "ended without a word"),
    (error: unknown) => problem(String(error)),
  );
  const first = await Promise.race([ended, once(child.stdout, "data")]);
  if (first instanceof DeadpeerError) throw first;
  const directory = join(cgroupMount(), processCgroup(child.pid ?? 0) ?? "/");
  if (processesIn(directory)?.includes(child.pid ?? 0) !== true) {
    child.stdin.end();
    throw problem(`its scope is not below ${cgroupMount()}`);
  }
  const leave = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  return { directory, occupied: leave, abandon: leave };
}

function problem(reason: string): DeadpeerError {
  return new DeadpeerError("tool-missing", `systemd-run: ${reason}`);
}

/**
 * The slice that we are in, so that its limits hold for the program as well. What lies below a service or a session is that one's
 * own, and not known to the system's manager.
 */
function sliceOption(): string[] {
  const parts = (processCgroup(process.pid) ?? "").split("/").slice(1);
  const end = parts.findIndex((part) => !part.endsWith(".slice"));
  const slice = parts.slice(0, end < 0 ? parts.length : end).at(-1);
  return slice === undefined ? [] : [`--slice=${slice}`];
}
