import type { SysctlChange } from "../../host/sysctl/apply.js";
import { readable, sysctlFacts } from "../../host/sysctl/values.js";

/** Each change on a line, before → after. */
export function changesText(changes: readonly SysctlChange[]): string[] {
  return changes.map(({ name, before, after }) => {
    const unit = sysctlFacts.find((fact) => fact.name === name)?.unit ?? "count";
    return `${name.padEnd(30)} ${readable(unit, before)} → ${readable(unit, after)}`;
  });
}
