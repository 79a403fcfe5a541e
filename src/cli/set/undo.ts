import { type Undo, undoRepair, type UndoneSocket } from "../../host/repair/undo.js";
import { exitStatus } from "../exit.js";
import { interruptible } from "../interrupt.js";
import { endsText, processText } from "../ls-cells.js";
import { pageOf } from "../ls-report.js";
import { note } from "../note.js";
import { table, wrap } from "../output.js";
import { arrow, heldText } from "./report.js";
import { sayWaiting } from "./print.js";

interface UndoRequest {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** `set --undo [run]`. */
export async function undo(
  run: string | undefined,
  { dryRun = false, json = false }: UndoRequest,
): Promise<void> {
  const done = await interruptible((signal) =>
    undoRepair({ ...(run === undefined ? {} : { run }), dryRun, signal, ...sayWaiting }),
  );
  if (json) process.stdout.write(`${JSON.stringify(undoJson(done, dryRun), null, 2)}\n`);
  else process.stdout.write(done === null ? "There is no run to undo.\n" : undoText(done, dryRun));
  if (done === null) return;
  if (done.left > 0 && !dryRun)
    note(
      `${done.left} ${done.left === 1 ? "stays as it is; for it" : "stay as they are; for these"}, later: deadpeer set --undo ${done.run.id}`,
    );
  if (done.sockets.some(({ outcome }) => isMissing.has(outcome))) process.exitCode = exitStatus.missing;
}

/** A privilege, or what the kernel does not do. */
const isMissing: ReadonlySet<UndoneSocket["outcome"]> = new Set(["denied", "unseen", "refused"] as const);

function undoJson(done: Undo | null, dryRun: boolean): unknown {
  if (done === null) return null;
  const { id, at, label } = done.run;
  return { run: id, at, label, applied: !dryRun, connections: done.sockets.map(undoneJson), left: done.left };
}

function undoneJson({ local, remote, processes, outcome, reason, before, after }: UndoneSocket): unknown {
  return { local, remote, processes, outcome, reason, before, after };
}

type Outcome = UndoneSocket["outcome"];

const counted: Readonly<Record<Outcome, string>> = {
  restored: "as before again",
  changed: "as before again",
  withheld: "as before again but for the user timeout",
  unchanged: "as before already",
  "changed-since": "set to something else since, and left alone",
  later: "changed by a later run too, which now leads back to before both",
  refused: "refused",
  denied: "not allowed: that needs CAP_SYS_PTRACE, run as root",
  unseen: "in network namespaces that may not be entered",
  gone: "gone",
  aborted: "left as they were",
};

function undoText({ run, sockets }: Undo, dryRun: boolean): string {
  const { table: wide, text } = pageOf(process.stdout);
  const shown = sockets.filter(
    ({ outcome }) => outcome !== "gone" && outcome !== "unchanged" && outcome !== "unseen",
  );
  const rows = alike(shown).map(([first, ...others]) => [
    { text: processText(first.processes) },
    { text: others.length === 0 ? endsText(first) : `${others.length + 1} connections` },
    { text: change(first) },
    { text: first.outcome },
  ]);
  const counts = (Object.keys(counted) as Outcome[])
    .map((outcome) => [counted[outcome], sockets.filter((one) => one.outcome === outcome).length] as const)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`);
  const tense = dryRun ? "Would undo" : "Undone";
  const lines = [
    ...(rows.length === 0 ? [] : [table(wide, columns, rows), ""]),
    ...[
      ...new Set(shown.flatMap(({ outcome, reason }) => (reason === null ? [] : [`${outcome}: ${reason}`]))),
    ].map((line) => wrap(text, line)),
    wrap(text, `${tense}: ${run.id} (${run.label}, at ${run.at.slice(0, 19)}Z). ${counts.join(", ")}.`),
  ];
  return `${lines.join("\n")}\n`;
}

function change({ before, after }: UndoneSocket): string {
  return arrow(heldText(before), heldText(after));
}

/** Above this many connections alike ones share a row, as in `ls`. */
const groupAbove = 12;

function alike(sockets: readonly UndoneSocket[]): (readonly [UndoneSocket, ...UndoneSocket[]])[] {
  if (sockets.length <= groupAbove) return sockets.map((one) => [one]);
  const groups = new Map<string, [UndoneSocket, ...UndoneSocket[]]>();
  for (const one of sockets) {
    const key = [processText(one.processes), change(one), one.outcome].join();
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [one]);
    else group.push(one);
  }
  return [...groups.values()];
}

const columns = [
  { title: "PROCESS", shrinkTo: 10 },
  { title: "CONNECTION", shrinkTo: 12, cut: "middle" as const },
  { title: "SETTINGS" },
  { title: "OUTCOME" },
];
