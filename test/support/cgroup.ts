import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { cgroupDirectory } from "../../src/kernel/cgroups.js";
import { newOwnedName } from "../../src/kernel/owned-names.js";

/** A cgroup of a test's own, at the root of the tree or below another one. Named as a run's, so that a sweep removes it should the test be killed. */
export class TestCgroup implements AsyncDisposable {
  /** Within the tree. */
  readonly path: string;
  readonly directory: string;

  constructor(parent = "") {
    this.path = `${parent}/${newOwnedName("run")}`;
    this.directory = cgroupDirectory(this.path);
    mkdirSync(this.directory);
  }

  /** What is put before a command to have it run inside, in a network of its own. */
  get wrapper(): readonly [string, ...string[]] {
    return ["unshare", "--net", "sh", "-c", `echo 0 >${this.directory}/cgroup.procs && exec "$@"`, "sh"];
  }

  /** Removes it; what was started inside must have been told to end, and is waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (/^populated 1/m.test(readFileSync(`${this.directory}/cgroup.events`, "utf8"))) {
      if (performance.now() > deadline) throw new Error(`something still runs in ${this.path}`);
      await sleep(10);
    }
    rmdirSync(this.directory);
  }
}
