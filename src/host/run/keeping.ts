import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { DeadpeerError } from "../../errors.js";

const keeper = fileURLToPath(new URL("keeper.js", import.meta.url));

/** Forks twice and lets go: the program that this process is to become must find no child that it did not start. */
const launch = '"$@" <&3 3<&- &';

/** The one who removes a cgroup when its last process has left. */
export interface Keeper {
  /** What the cgroup has to be called. */
  readonly name: string;
  /** To be called once it has been made. From then on the keeper waits for this process to end, or to become the program. */
  keep(directory: string): Promise<void>;
}

/**
 * Starts a keeper, in a session of its own, where no terminal's signals reach it.
 *
 * @throws DeadpeerError `tool-missing` if it could not be started.
 */
export async function startKeeper(): Promise<Keeper> {
  // NODE_OPTIONS are meant for the program, if anybody.
  const { NODE_OPTIONS: _, NODE_V8_COVERAGE: __, ...env } = process.env;
  // A heap for some objects: what runs for weeks beside a program has to be small.
  const args = ["-c", launch, "sh", process.execPath, "--max-semi-space-size=1", keeper];
  const child = spawn("/bin/sh", args, {
    cwd: "/",
    detached: true,
    env,
    // Not its stdin, which Node destroys as soon as the shell has ended.
    stdio: ["ignore", "pipe", "ignore", "pipe"],
  });
  const [, says, , hears] = child.stdio as unknown as [null, Socket, null, Socket];
  // Stays open until this process becomes the program or ends, and does not keep it from ending.
  hears.unref();
  const exited = new Promise<void>((resolve, reject) => {
    child.once("exit", () => resolve()).once("error", reject);
  });
  let name = "";
  try {
    // The shell is waited for, so that the program inherits no dead child either.
    await exited;
    for await (const line of createInterface({ input: says })) {
      name = line;
      break;
    }
  } catch (cause) {
    throw new DeadpeerError("tool-missing", `/bin/sh cannot be started: ${String(cause)}`, { cause });
  }
  says.destroy();
  if (name === "")
    throw new DeadpeerError("tool-missing", `${process.execPath} cannot be started a second time`);
  return {
    name,
    keep: async (directory) => {
      await new Promise<void>((resolve, reject) => {
        hears.write(directory, (error) => (error ? reject(error) : resolve()));
      });
    },
  };
}
