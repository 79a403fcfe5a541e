import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import type { LearnedInterval } from "./engine/adaptive.js";

/** Where what was learned about networks is kept. */
export interface IntervalStore {
  /** @returns null where nothing is known. */
  load(network: string): LearnedInterval | null;
  save(network: string, learned: LearnedInterval): void;
}

/** Networks come and go; the ones longest unheard of are forgotten first. */
const mostNetworks = 256;

export interface IntervalFileOptions {
  /** Told in one line about a file that cannot be read or written. Default: a warning of the process. */
  readonly onProblem?: (problem: string) => void;
}

/**
 * What was learned about networks, in a JSON file. It is read anew for each change, because other programs of the same user may learn
 * too, and replaced as a whole. A file that makes no sense is put aside, and learning begins anew.
 */
export class IntervalFile implements IntervalStore {
  readonly path: string;
  readonly #onProblem: (problem: string) => void;

  constructor(path: string, { onProblem = warn }: IntervalFileOptions = {}) {
    this.path = path;
    this.#onProblem = onProblem;
  }

  /** The one below XDG_STATE_HOME, or ~/.local/state. */
  static ofUser(options: IntervalFileOptions = {}): IntervalFile {
    const state = process.env["XDG_STATE_HOME"] ?? "";
    return new IntervalFile(
      join(state === "" ? join(homedir(), ".local", "state") : state, "deadpeer", "intervals.json"),
      options,
    );
  }

  load(network: string): LearnedInterval | null {
    return this.#read().get(network) ?? null;
  }

  save(network: string, learned: LearnedInterval): void {
    const all = this.#read();
    all.delete(network);
    all.set(network, learned);
    const kept = [...all].sort(([, a], [, b]) => a.at - b.at).slice(-mostNetworks);
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      const draft = `${this.path}.${process.pid}`;
      writeFileSync(draft, `${JSON.stringify(Object.fromEntries(kept), null, 1)}\n`, { mode: 0o600 });
      renameSync(draft, this.path);
    } catch (error) {
      this.#onProblem(
        `what was learned about this network cannot be kept in ${this.path}: ${reason(error)}; it is learned anew next time`,
      );
    }
  }

  #read(): Map<string, LearnedInterval> {
    let text: string;
    try {
      text = readFileSync(this.path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        this.#onProblem(`${this.path} cannot be read: ${reason(error)}`);
      return new Map();
    }
    const known = parse(text);
    if (known !== null) return known;
    this.#putAside();
    return new Map();
  }

  #putAside(): void {
    const aside = `${this.path}.corrupt`;
    try {
      renameSync(this.path, aside);
      this.#onProblem(
        `${this.path} holds no intervals; it was moved to ${aside}, and intervals are learned anew`,
      );
    } catch (error) {
      this.#onProblem(`${this.path} holds no intervals and cannot be moved away: ${reason(error)}`);
    }
  }
}

/** @returns null if it is not what `save` writes. */
function parse(text: string): Map<string, LearnedInterval> | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value);
  return entries.every((entry): entry is [string, LearnedInterval] => isLearned(entry[1]))
    ? new Map(entries)
    : null;
}

function isLearned(value: unknown): value is LearnedInterval {
  if (typeof value !== "object" || value === null) return false;
  const { goodMs, badMs, at } = value as Partial<LearnedInterval>;
  return isTime(goodMs) && isTime(at) && (badMs === null || isTime(badMs));
}

function isTime(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function warn(problem: string): void {
  process.emitWarning(problem, "DeadpeerWarning");
}
