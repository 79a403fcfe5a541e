import { statSync } from "node:fs";
import { DeadpeerError } from "../../errors.js";
import { inNamespace, type NetworkNamespace } from "../../kernel/namespaces.js";
import { readSysctl, readSystemDefaults } from "../../kernel/sysctl.js";
import { type Detection, detectionTimes } from "../../plan/model.js";
import type { SystemDefaults } from "../../plan/settings.js";
import { bootLine, readBootFiles } from "./boot-files.js";
import { findEntry, readJournal } from "./journal.js";
import { sourceOf, type SysctlSource, toNumber } from "./sources.js";
import { sysctlFacts, type SysctlUnit } from "./values.js";

/** A sysctl as it stands: an element of `values` in `deadpeer sysctl show --json`. */
export interface SysctlValue {
  readonly name: string;
  readonly unit: SysctlUnit;
  readonly value: number;
  readonly kernelDefault: number;
  readonly source: SysctlSource;
  readonly meaning: string;
}

/** What one network namespace decides for connections that decide nothing themselves. */
export interface SystemView {
  readonly namespace: NetworkNamespace;
  readonly values: readonly SysctlValue[];
  readonly system: SystemDefaults;
  /** For a connection with keepalive on; with it off `idleMs` is never. */
  readonly detection: Detection;
}

/** Reads every sysctl that detection depends on, with its source. What this kernel does not have is left out. */
export function inspectSystem(namespace: NetworkNamespace): SystemView {
  const { read, system } = inNamespace(namespace, () => ({
    read: sysctlFacts.flatMap((fact) => {
      const value = readIfThere(fact.name);
      return value === null ? [] : [{ fact, value }];
    }),
    system: readSystemDefaults(),
  }));
  const boots = bootsHere(namespace);
  const files = boots ? readBootFiles() : [];
  const journal = readJournal();
  const values = read.map(({ fact, value }) => {
    const { name, unit, kernelDefault } = fact;
    const entry = findEntry(journal, namespace.id, name);
    const original = entry?.written === value ? entry.original : null;
    const line = bootLine(files, name);
    const source = sourceOf({ value, kernelDefault, line, boots, original });
    return { name, unit, value, kernelDefault, source, meaning: fact.meaning(value, system) };
  });
  return {
    namespace,
    values,
    system,
    detection: detectionTimes({ keepalive: system.keepalive, userTimeoutMs: 0 }, system),
  };
}

function readIfThere(name: string): number | null {
  try {
    return toNumber(readSysctl(name));
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "feature-missing") return null;
    throw error;
  }
}

/**
 * Whether the boot's files reach a namespace: the one that init lives in. Every other starts with the kernel's own values
 * (tcp_sk_init), whatever the host is set to.
 */
export function bootsHere({ id }: NetworkNamespace): boolean {
  const init = "/proc/1/ns/net";
  try {
    return String(statSync(init).ino) === id;
  } catch {
    // Not root: init's namespace cannot be seen, and ours is most likely the same.
    return String(statSync("/proc/self/ns/net").ino) === id;
  }
}
