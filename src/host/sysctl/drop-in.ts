import { lstatSync, readFileSync } from "node:fs";
import { DeadpeerError } from "../../errors.js";
import { formatDuration } from "../../plan/duration.js";
import { type BootLine, bootLine, readBootFiles } from "./boot-files.js";
import { fileError, removeDurably, writeDurably } from "../durable-file.js";
import { toNumber } from "./sources.js";
import type { SysctlTarget } from "./targets.js";

/** 90: behind what a distribution ships, before 99-sysctl.conf, the link to the administrator's own file. */
export const dropInPath = "/etc/sysctl.d/90-deadpeer.conf";

/** The first line says whose the file is; only a file that begins so is ever overwritten or removed. */
const signature = "# Written by deadpeer sysctl persist.";

/** The drop-in file for these values. */
export function dropInText(targets: readonly SysctlTarget[]): string {
  const value = (name: string): number | undefined => targets.find((target) => target.name === name)?.value;
  const idle = value("net.ipv4.tcp_keepalive_time");
  const interval = value("net.ipv4.tcp_keepalive_intvl");
  const count = value("net.ipv4.tcp_keepalive_probes");
  const meaning =
    idle === undefined || interval === undefined || count === undefined
      ? []
      : [
          "# An idle connection that has keepalive on and times of its own nowhere notices a dead peer",
          `# after ${formatDuration((idle + interval * count) * 1_000)}. No sysctl switches keepalive on.`,
        ];
  return `${[
    signature,
    "# To remove it: deadpeer sysctl unpersist",
    ...meaning,
    ...targets.map((target) => `${target.name} = ${target.value}`),
  ].join("\n")}\n`;
}

/** deadpeer's own drop-in file as it stands; null: there is none. */
export function readDropIn(): string | null {
  try {
    // A link would be followed by whoever reads it, but a rename would replace it: it is somebody's own arrangement.
    if (lstatSync(dropInPath).isFile()) {
      const text = readFileSync(dropInPath, "utf8");
      if (text.startsWith(signature)) return text;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw fileError(error, "read", dropInPath);
  }
  throw new DeadpeerError(
    "file-conflict",
    `${dropInPath} exists and was not written by deadpeer; move it away or delete it first`,
  );
}

/**
 * Writes the drop-in file; the values hold from the next boot.
 *
 * @throws DeadpeerError `file-conflict`: a file of that name is not ours; `permission-denied`: not root.
 */
export function writeDropIn(text: string): void {
  readDropIn();
  writeDurably(dropInPath, text);
}

/** Removes the drop-in file. Returns false when there was none. */
export function removeDropIn(): boolean {
  if (readDropIn() === null) return false;
  removeDurably(dropInPath);
  return true;
}

/** A value of the drop-in that another file overrides at boot. */
export interface Override {
  readonly target: SysctlTarget;
  readonly by: BootLine;
}

/** What later files make of the drop-in's values, as if it were written already. */
export function overridesOf(targets: readonly SysctlTarget[], text: string): Override[] {
  const files = readBootFiles({ path: dropInPath, text });
  return targets.flatMap((target) => {
    const by = bootLine(files, target.name);
    return by === null || by.path === dropInPath || toNumber(by.value) === target.value
      ? []
      : [{ target, by }];
  });
}
