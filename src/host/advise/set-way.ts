import { hasOwnCgroup, type ProgramFacts } from "./facts.js";
import { listed, namedAtMost } from "./family.js";
import { command, type Way, type WayRequest } from "./way.js";

/** Other settings for the sockets that the program holds now. null where it holds none. */
export function setWay(facts: ProgramFacts, request: WayRequest): Way | null {
  const { connections, family } = facts;
  const { total, withinHost, listeningPorts, shared } = connections;
  if (total - withinHost === 0 && listeningPorts.length === 0 && !facts.hidesConnections) return null;
  const listens = listeningPorts.length > 0;
  const words = ["set", ...filterWords(facts), ...(listens ? ["--listeners"] : [])];
  return {
    kind: "set",
    title: "Now, on its live sockets",
    commands: [command(words, request)],
    why: `The program does not notice${family.length === 1 ? "" : ` (it is ${family.length} processes: ${listed(family)})`}; deadpeer set --undo puts back what was there.${
      listens
        ? ` Its listeners are set too, so that what they accept from now on inherits it (port ${listed(listeningPorts)}).`
        : ""
    }${shared === 0 ? "" : ` ${shared} of the sockets are held by several processes; each is set once.`}`,
    limits: [
      "connections that the program opens later are as the program makes them",
      "a program that sets its sockets again puts its own values back",
    ],
    needs: needsOf(facts),
  };
}

/** The same again and again, where there can be no policy. */
export function watchWay(facts: ProgramFacts, request: WayRequest): Way | null {
  if (hasOwnCgroup(facts)) return null;
  return {
    kind: "watch",
    title: "From now on, by looking again and again",
    commands: [command(["set", ...filterWords(facts), "--watch"], request)],
    why: "Without a cgroup of its own there is no policy for it; this sets its new connections within a second, as long as it runs.",
    limits: ["a connection that is younger than a second is as the program made it"],
    needs: needsOf(facts),
  };
}

function needsOf({ isForeign }: ProgramFacts): string | null {
  return isForeign ? "CAP_SYS_PTRACE over the process" : null;
}

/** Which sockets are meant, in words that outlive a worker where there are such. */
function filterWords({ family, cgroup, residence, processName, netns }: ProgramFacts): string[] {
  const place = netns === null ? [] : ["--netns", netns];
  const { container, service, userService } = residence;
  const isOwnCgroup =
    cgroup !== null && cgroup.others === 0 && (container ?? service ?? userService) !== null;
  if (family.length > 1 && isOwnCgroup) return ["--cgroup", cgroup.path, ...place];
  if (family.length <= namedAtMost) return [...family.flatMap((pid) => ["--pid", String(pid)]), ...place];
  return ["--process", processName, ...place];
}
