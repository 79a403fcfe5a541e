import type { ElfFacts } from "./elf.js";
import { type KnownProgram, knownPrograms } from "./known-programs.js";
import { scriptOf } from "./script.js";

/** What a program is, as far as it can be told from outside. */
export interface ProgramIdentity {
  /** For people: `redis-server`, `java (app.jar)`. */
  readonly name: string;
  /** null: none of those that are known by name. */
  readonly known: KnownProgram | null;
  /** What a runtime runs: a script, a module, a jar, a main class. */
  readonly script: string | null;
  /** What `plan --for` has lines for; null: nothing. */
  readonly target: string | null;
  /** Whether the lines go into the program's source; false: into its configuration. */
  readonly inSource: boolean;
}

/** What identifyProgram looks at. */
export interface ProgramSigns {
  /** null: it may not be seen. */
  readonly executable: { readonly path: string } | null;
  readonly arguments: readonly string[];
  /** As `ps -o comm` shows it: the last resort, since programs may change it. */
  readonly name: string;
  /** null: it could not be read, or is none. */
  readonly elf: ElfFacts | null;
}

/** Erlang's runtime is known by its name, what runs in it by its arguments. */
const rabbit: KnownProgram = {
  id: "rabbitmq",
  title: "RabbitMQ",
  kind: "program",
  names: /^beam(\.smp)?$/,
  target: null,
  instead:
    "its own heartbeat finds dead peers: heartbeat = SECONDS in rabbitmq.conf, which clients may lower",
};

/** @example identifyProgram({ executable: { path: "/usr/bin/python3.11" }, arguments: ["python3", "app.py"], … }).name // "python3 (app.py)" */
export function identifyProgram(signs: ProgramSigns): ProgramIdentity {
  // Under its first word a program that is several in one knows which it shall be: Debian's redis-server is a link to
  // redis-check-rdb. Programs that show their state to ps(1) begin with their name.
  const names = [
    baseName(signs.executable?.path ?? ""),
    baseName(signs.arguments[0]?.split(/[ :]/)[0] ?? ""),
    signs.name,
  ].filter((name) => name !== "");
  const base = names.find((name) => programOf(name) !== null) ?? names[0] ?? "";
  const found = programOf(base);
  const known =
    found?.id === "erlang" && signs.arguments.some((word) => word.includes("rabbit")) ? rabbit : found;
  const script = known?.kind === "runtime" ? scriptOf(known.id, signs.arguments) : null;
  return {
    name: script === null ? base : `${base} (${baseName(script)})`,
    known,
    script,
    target: known === null ? (signs.elf?.language ?? (signs.elf === null ? null : "c")) : known.target,
    inSource: known?.kind !== "program",
  };
}

function programOf(name: string): KnownProgram | null {
  return knownPrograms.find(({ names }) => names.test(name)) ?? null;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
