import { rmSync } from "node:fs";
import { ownershipOf } from "../../kernel/owned-names.js";
import { leftLabs, livingLabs, sweep } from "../../lab/sweep.js";
import { counted } from "../counted.js";
import type { Kept, Search } from "./trace.js";

/** Hosts of labs: namespaces, the links in them, what runs inside, the folders with captures. */
export const labs: Search = {
  subject: "labs",
  look() {
    const { namespaces, inhabitants, folders } = leftLabs();
    const { length } = inhabitants;
    const inside =
      length === 0
        ? ""
        : `; ${counted(length, "process", "processes")} inside ${length === 1 ? "ends" : "end"} with it`;
    return {
      leftovers: [
        ...folders.map((name) => ({
          what: "lab's folder",
          name,
          why: "its lab has ended",
          remove: () => rmSync(name, { recursive: true, force: true }),
        })),
        ...namespaces.map((name) => ({
          what: "network namespace",
          name,
          why: `its lab has ended${inside}`,
          // All at once: one host's process may hold another's.
          remove: async () => void (await sweep()),
        })),
      ],
      kept: byOwner(livingLabs()),
    };
  },
};

/** The hosts of one lab have the first part of their name in common. */
function byOwner(namespaces: readonly string[]): Kept[] {
  const hosts = new Map<string, number>();
  for (const name of namespaces) {
    const lab = /^dp-lab(-\d+){4}/.exec(name)?.[0] ?? name;
    hosts.set(lab, (hosts.get(lab) ?? 0) + 1);
  }
  return [...hosts].map(([name, count]) => {
    const { pid = 0, owner } = ownershipOf(name) ?? {};
    return {
      what: "lab",
      name: `${name} (${counted(count, "host")})`,
      why:
        owner === "alive"
          ? `process ${pid} uses it`
          : "its process is in another PID namespace, perhaps a container's",
      undo: owner === "alive" ? `kill ${pid}` : null,
    };
  });
}
