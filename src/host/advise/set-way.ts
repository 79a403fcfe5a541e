import type { ProgramFacts } from "./facts.js";
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
      `it reaches what lives now: connections that the program opens later are as the program makes them, unless it goes on looking: ${command([...words.filter((word) => word !== "--listeners"), "--watch"], request)}`,
      "a program that sets its sockets again puts its own values back",
    ],
    needs: facts.isForeign ? "CAP_SYS_PTRACE over the process" : null,
  };
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
