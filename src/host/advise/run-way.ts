import type { ProgramFacts } from "./facts.js";
import { shellWord } from "../shell-word.js";
import { command, type Way, type WayRequest } from "./way.js";

/** Starting the program once more, in a cgroup of its own. null where something else starts it, or its words are not known. */
export function runWay({ command: start, residence, cgroup }: ProgramFacts, request: WayRequest): Way | null {
  const { container, service, userService } = residence;
  if (start === null || cgroup === null || container !== null || service !== null || userService !== null)
    return null;
  const line = command(["run"], request, "--", ...start.words);
  return {
    kind: "run",
    title: "At its next start",
    commands: [`cd ${shellWord(start.folder)} && ${line}`],
    why: "Nobody seems to start it for you: started like this it has a cgroup of its own with a policy, from its first connection on.",
    limits: [
      "it has to be ended and started again, with the environment that it needs",
      "what was redirected when it started has to be redirected again",
    ],
    needs: "CAP_SYS_ADMIN and CAP_NET_ADMIN",
  };
}
