import { spawnSync } from "node:child_process";
import { mkdirSync, rmdirSync } from "node:fs";
import { cgroupDirectory } from "../../src/kernel/cgroups.js";
import { sweepRuns } from "../../src/host/run/sweep.js";
import { newOwnedName } from "../../src/kernel/owned-names.js";
import { cli } from "../support/checkout.js";
import type { Launcher } from "./stage.js";

export const wayNames = [
  "under run",
  "under a policy",
  "already running, through set",
  "through set and undone",
] as const;
export type WayName = (typeof wayNames)[number];

/** The ways in which programs get the plan's settings, each by the command that a person would type. */
export class Ways implements Disposable {
  readonly #detect: string;
  /** Named as a run's, so that a sweep takes it should the test be killed. */
  readonly #cgroup = cgroupDirectory(`/${newOwnedName("run")}`);

  readonly #runs = new Set<string>();

  /** For the sockets of the host that this thread has entered. */
  constructor(detect: string) {
    this.#detect = detect;
    mkdirSync(this.#cgroup);
    deadpeer("policy", "add", "--cgroup", this.#cgroup, "--detect", detect);
  }

  launcher(way: WayName): Launcher {
    switch (way) {
      case "under run":
        return (command) => [process.execPath, cli, "run", "--detect", this.#detect, "--", ...command];
      case "under a policy":
        return (command) => [
          "sh",
          "-c",
          `echo 0 >${this.#cgroup}/cgroup.procs && exec "$@"`,
          "sh",
          ...command,
        ];
      default:
        return (command) => command;
    }
  }

  /** @returns the run that `undo` undoes. */
  set(pids: readonly number[]): string {
    const which = pids.flatMap((pid) => ["--pid", String(pid)]);
    const { run } = JSON.parse(deadpeer("set", ...which, "--detect", this.#detect, "--json")) as {
      run: string;
    };
    this.#runs.add(run);
    return run;
  }

  undo(run: string): void {
    deadpeer("set", "--undo", run);
    this.#runs.delete(run);
  }

  /** To be called when nothing of the host is left: its keepers go with it, and the machine's journal forgets its runs. */
  [Symbol.dispose](): void {
    for (const run of this.#runs) this.undo(run);
    rmdirSync(this.#cgroup);
    sweepRuns();
  }
}

function deadpeer(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`deadpeer ${args.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}
