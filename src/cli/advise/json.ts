import type { Advice } from "../../host/advise/decide.js";
import type { ProgramFacts } from "../../host/advise/facts.js";

export function adviceJson(facts: ProgramFacts, { finding, ways, impossible }: Advice): unknown {
  const { program, executable, elf, residence, connections, unseen } = facts;
  const { pid, uid, family, cgroup, netns } = facts;
  return {
    pid,
    uid,
    program: {
      name: program.name,
      known: program.known?.id ?? null,
      script: program.script,
      target: program.target,
    },
    executable,
    elf,
    family,
    residence,
    cgroup: cgroup === null ? null : { ...cgroup, policy: cgroup.policy?.id ?? null },
    netns,
    connections,
    finding,
    ways,
    impossible,
    unseen,
  };
}
