import { requireBpfCapabilities } from "../../kernel/bpf/errors.js";
import { joinCgroup } from "../../kernel/cgroup-changes.js";
import { cgroupMount } from "../../kernel/cgroups.js";
import { requireLinux } from "../../kernel/platform.js";
import { addPolicy } from "../policy/add.js";
import type { PolicyRequest } from "../policy/request.js";
import { makePlace } from "./place.js";

/**
 * Moves this process into a cgroup of its own with a policy. What it becomes (kernel/exec.ts) or starts has every connection
 * covered, from the first one on. The cgroup goes when the last process has left it, and the policy with it.
 *
 * @param program its name, for systemd's lists.
 * @param tell takes what a person should know of how it came about.
 * @throws DeadpeerError `platform-unsupported`; `feature-missing` without cgroup v2; `permission-denied`; `tool-missing`; and
 *   what addPolicy throws. Nothing is left behind then.
 */
export async function enterRun(
  request: PolicyRequest,
  program: string,
  tell: (note: string) => void,
): Promise<void> {
  requireLinux("cgroups");
  cgroupMount();
  requireBpfCapabilities();
  const place = await makePlace(program, tell);
  try {
    addPolicy(place.directory, request, { command: "run" });
    joinCgroup(place.directory);
  } catch (error) {
    await place.abandon();
    throw error;
  }
  await place.occupied();
}
