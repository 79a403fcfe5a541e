import { snippetFor } from "../../plan/snippets/index.js";
import type { ProgramFacts } from "./facts.js";
import { command, type Impossible, type Way, type WayRequest } from "./way.js";

/** The program's own settings, from plan's catalogue. */
export function configurationWay(
  { program, executable }: ProgramFacts,
  request: WayRequest,
): Way | Impossible | null {
  const { target, known, script, inSource } = program;
  const title = known?.title ?? program.name;
  if (target === null) {
    if (known === null) return null;
    return {
      kind: inSource ? "source" : "configuration",
      reason: `plan has no lines for ${title}${known.instead === undefined ? "" : `; ${known.instead}`}`,
    };
  }
  const common = {
    commands: [command(["plan"], request, "--for", target)],
    limits: [...snippetFor(target, request.settings).notes],
    needs: null,
  };
  if (!inSource)
    return {
      ...common,
      kind: "configuration",
      title: "Its own configuration",
      why: `${title} can set this itself, and then does so for every connection and after every restart; the command prints the lines to paste, which hold once the program has read them${executable?.deleted === true ? " (and its executable was replaced since it started: a restart is due anyway)" : ""}.`,
    };
  if (known === null)
    return {
      ...common,
      kind: "library",
      title: "Its source, if it is yours",
      why: `It is ${target === "c" ? "a compiled program of which nothing more is known" : `written in ${target === "go" ? "Go" : "Rust"}`}; with these lines in its source it needs no help from outside.`,
    };
  return {
    ...common,
    kind: "source",
    title: "Its own source, if you can change it",
    why: `${title} lets a program set this for each socket${script === null ? "" : `, here in ${script}`}; the command prints the lines to paste.`,
  };
}
