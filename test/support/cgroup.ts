import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../../src/errors.js";
import { listPolicies, type Policy } from "../../src/host/policy/find.js";
import { ownCgroup } from "../../src/kernel/cgroup-changes.js";
import { cgroupDirectory, cgroupMount } from "../../src/kernel/cgroups.js";
import { newOwnedName } from "../../src/kernel/owned-names.js";

/**
 * Fails if somebody's policy holds for the cgroup that the tests run in, or did until a moment ago: what they read from sockets would be
 * that policy's. Every cgroup is below the root's, so this cannot be kept out, only told.
 */
export function requireNoPolicyAround(): void {
  const policies = policiesHere();
  if (policies.length === 0) return;
  const own = ownCgroup();
  const path = own === null ? "/" : `/${relative(cgroupMount(), own)}`;
  const around = policies.filter(
    ({ cgroup }) => cgroup === "/" || path === cgroup || path.startsWith(`${cgroup}/`),
  );
  const names = around.map(({ id, cgroup, at }) => `${id} on ${cgroup}, of ${at}`);
  if (names.length > 0)
    throw new Error(`these tests run under a policy, and would see its settings: ${names.join("; ")}`);
}

/** None where the kernel has no BPF or cgroup v2, and so no policies. */
function policiesHere(): Policy[] {
  try {
    return listPolicies();
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "feature-missing") return [];
    throw error;
  }
}

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
