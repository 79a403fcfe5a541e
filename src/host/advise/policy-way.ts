import { listed } from "./family.js";
import type { ProgramFacts } from "./facts.js";
import { coversAll } from "../policy/request.js";
import { shellWord } from "../shell-word.js";
import { command, type Impossible, type Way, type WayRequest } from "./way.js";

/** A BPF program on the program's cgroup. */
export function policyWay(facts: ProgramFacts, request: WayRequest): Way | Impossible {
  const { cgroup, elf, family, connections, hidesConnections } = facts;
  if (cgroup === null)
    return {
      kind: "policy",
      reason: "it is in no cgroup v2 tree that is mounted here, so that no policy can be added to it",
    };
  if (cgroup.isRoot)
    return {
      kind: "policy",
      reason:
        "it is in the root cgroup, where a policy would hold for the whole machine; start it in a cgroup of its own: deadpeer run",
    };
  const { what, words, until } = placeOf(facts, cgroup.path);
  const unaware =
    elf?.linking === "static"
      ? ` It is static${elf.language === "go" ? ", as Go programs are" : ""}: nothing could be preloaded into it, but the kernel sets this for any program.`
      : "";
  const open = connections.total > connections.withinHost || hidesConnections;
  const applyExisting = ["deadpeer", "policy", "apply-existing", ...words].map(shellWord).join(" ");
  const { policy } = cgroup;
  if (policy !== null && coversAll(policy, request.change)) {
    const covers = `policy ${policy.id} of ${what} sets every connection to come like that already`;
    if (!open) return { kind: "policy", reason: covers };
    return {
      kind: "policy",
      title: `Where the policy for ${what} came too late`,
      commands: [applyExisting],
      why: `${capital(covers)}; this sets those that were open before it.`,
      limits: [until],
      needs: "CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_SYS_PTRACE over the process",
    };
  }
  return {
    kind: "policy",
    title: `A policy for ${what}`,
    commands: [
      command(["policy", "add", ...words, ...(policy === null ? [] : ["--replace"])], request),
      ...(open ? [applyExisting] : []),
    ],
    why: `The kernel sets every connection to come, in either direction, whoever opens it there; the program is neither changed nor restarted.${open ? " The second command sets those that are open." : ""}${unaware}`,
    limits: [
      until,
      ...(policy === null ? [] : [`the cgroup has policy ${policy.id} already, whose place it takes`]),
      ...(cgroup.others === 0
        ? []
        : [
            `it also covers ${cgroup.others} other process${cgroup.others === 1 ? "" : "es"} of this cgroup (besides ${listed(family)})`,
          ]),
    ],
    needs: "CAP_SYS_ADMIN and CAP_NET_ADMIN",
  };
}

function capital(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

const stops = (what: string): string => `it goes when ${what}: systemd makes a new cgroup at the next start`;

/** How `policy add` is told the cgroup, and how long that lasts. */
function placeOf(
  { residence, program }: ProgramFacts,
  path: string,
): { what: string; words: string[]; until: string } {
  const { container, service, userService, session } = residence;
  // A unit inside a container is none of this machine's systemd.
  if (container !== null && (service === null || container.engine === "systemd-nspawn")) {
    const what = `its container (${container.engine})`;
    const until = "it goes when the container stops";
    return container.engine === "docker" ||
      container.engine === "podman" ||
      /^[0-9a-f]{64}$/.test(container.id)
      ? { what, words: ["--container", container.id], until }
      : { what, words: ["--cgroup", path], until };
  }
  if (container === null && service !== null)
    return {
      what: `its service, ${service}`,
      words: ["--service", service],
      until: `${stops("the service stops")}; ExecStartPost=+ with this command, in the unit, adds it then`,
    };
  if (userService !== null)
    return {
      what: `its user's unit, ${userService}`,
      words: ["--cgroup", path],
      until: stops("the unit stops"),
    };
  if (session !== null)
    return { what: "its login session", words: ["--cgroup", path], until: "it goes with the login session" };
  return {
    what: `its cgroup, with ${program.name}`,
    words: ["--cgroup", path],
    until: "it goes with the cgroup",
  };
}
