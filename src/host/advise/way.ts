import type { Settings, SettingsChange } from "../../plan/settings.js";
import { shellWord } from "../shell-word.js";

/** What to do about a program's connections, and how. */
export interface Way {
  /**
   * `configuration`: the program's own. `source`: of a program that a known runtime runs. `library`: source too, of a compiled program
   * of which nothing more is known.
   */
  readonly kind: "configuration" | "source" | "library" | "policy" | "run" | "set" | "watch";
  readonly title: string;
  /** To be pasted into a shell, one after the other. */
  readonly commands: readonly string[];
  /** Why this way, in one sentence. */
  readonly why: string;
  readonly limits: readonly string[];
  /** The privilege that it needs; null: none. */
  readonly needs: string | null;
}

/** A way that does not lead there, and why. */
export interface Impossible {
  readonly kind: Way["kind"];
  readonly reason: string;
}

/** What was asked for. */
export interface WayRequest {
  /** The settings as they are typed, e.g. `["--detect", "35s"]`. */
  readonly words: readonly string[];
  /** The same for the planner, where that differs in what is left out. */
  readonly settings: Settings;
  /** What `set` and policies make of them. */
  readonly change: SettingsChange;
  /** Within which time a dead peer shall be noticed, for people. */
  readonly within: string;
}

/** @example command(["set", "--pid", "4711"], request) // "deadpeer set --pid 4711 --detect 35s" */
export function command(
  words: readonly string[],
  { words: settings }: WayRequest,
  ...rest: readonly string[]
): string {
  return ["deadpeer", ...words, ...settings, ...rest].map(shellWord).join(" ");
}
