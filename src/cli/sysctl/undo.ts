import { planUndo, undo, type UndoPlan } from "../../host/sysctl/undo.js";
import { note } from "../note.js";
import { changesText } from "./changes-text.js";
import { interruptible } from "../interrupt.js";
import { labelOf, type NamespaceOptions, readNamespaces } from "./namespaces.js";

export interface UndoOptions extends NamespaceOptions {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `sysctl set --undo`. */
export async function run(options: UndoOptions): Promise<void> {
  const plan = planUndo(readNamespaces(options));
  if (options.dryRun !== true) await interruptible((signal) => undo(plan, { signal }));
  for (const { name, now, written, original, namespacePath } of plan.changedSince)
    note(
      `${name} in ${namespacePath} is ${now}, not the ${written} that deadpeer wrote: somebody has changed it since, so it stays; before deadpeer it was ${original}`,
    );
  if (plan.unseen.length > 0)
    note(
      `${plan.unseen.length} values are in network namespaces that have gone or cannot be seen from here; they stay in the journal`,
    );
  if (options.json === true) process.stdout.write(`${JSON.stringify(undoJson(plan, options), null, 2)}\n`);
  else process.stdout.write(`${undoText(plan)}\n`);
}

function undoJson({ changes, changedSince, gone, unseen }: UndoPlan, options: UndoOptions): unknown {
  return {
    applied: options.dryRun !== true,
    changes: changes.map(({ namespace, name, before, after }) => ({ netns: namespace, name, before, after })),
    changedSince,
    gone,
    unseen,
  };
}

function undoText({ changes, gone }: UndoPlan): string {
  const lines = changes.map((change) => `${changesText([change]).join("")}  (${labelOf(change.namespace)})`);
  if (gone.length > 0)
    lines.push(`${gone.length} values went with their network namespaces; there is nothing to put back.`);
  return lines.length === 0 ? "deadpeer has changed nothing here that could be put back." : lines.join("\n");
}
