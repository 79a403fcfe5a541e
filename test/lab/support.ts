import { readdirSync } from "node:fs";
import { needsNamespaces } from "../support/namespaces.js";
import { spawnSync } from "node:child_process";

/** For `test(name, { skip: needsLab }, …)`. */
export const needsLab: string | false =
  needsNamespaces !== false
    ? needsNamespaces
    : spawnSync("tcpdump", ["--version"]).error === undefined
      ? false
      : "needs tcpdump";

/** The namespaces of a process's labs, or of all. */
export function labNamespaces(pid?: number): string[] {
  try {
    return readdirSync("/run/netns").filter((name) =>
      name.startsWith(`dp-lab-${pid === undefined ? "" : `${pid}-`}`),
    );
  } catch {
    return [];
  }
}
