import type { Verdict } from "../../verdict/verdict.js";
import type { Family } from "../network.js";
import type { LabEvent } from "./timeline.js";

/** One expectation beside what was seen. */
export interface Expected {
  /** What should be seen, in words. */
  readonly text: string;
  readonly passed: boolean;
  /** What was seen, in words. */
  readonly observed: string;
  /** When, since time 0: the matching events, as far as they are events. */
  readonly atMs: readonly number[];
  /** The window that was asked for, since time 0; null: any time. */
  readonly between: readonly [number, number] | null;
}

/** A first measuring that does not count, since the machine gave the lab the processor too late. */
export interface Discarded {
  readonly lateMs: number;
  readonly passed: boolean;
}

/** What came of one scenario over one family: an element of `lab run --json`. */
export interface ScenarioResult {
  readonly name: string;
  readonly family: Family;
  readonly title: string;
  readonly belief: string | null;
  readonly outcome: string;
  readonly passed: boolean;
  /** Why it could not be run to its end; null: it was. */
  readonly problem: string | null;
  /** Set-up and tear-down included. */
  readonly durationMs: number;
  /** Time 0, milliseconds since 1970. */
  readonly startedAt: number;
  readonly lastsMs: number;
  /** How late the lab itself was given the processor, at worst: windows end that much later. */
  readonly lateMs: number;
  /** What was thrown away before this was measured; null: this is the first measuring. */
  readonly discarded: Discarded | null;
  readonly hosts: readonly { readonly name: string; readonly address: string }[];
  /** The programs' connections and the settings they were made with, as the scenario says. */
  readonly connections: readonly {
    readonly name: string;
    readonly program: string;
    readonly from: string;
    readonly to: string;
    readonly port: number;
    readonly settings: unknown;
  }[];
  readonly expected: readonly Expected[];
  /** All that happened, in the order of time. */
  readonly observed: readonly LabEvent[];
  /** Of the subject, given by the guard in the program; null: it did not end. */
  readonly verdict: Verdict | null;
  /** Of the subject, read from the capture alone. */
  readonly wireVerdict: Verdict | null;
  /** The capture of the subject's host, or of the first that is captured, if captures are kept. */
  readonly pcap: string | null;
  /** All captures, by host. */
  readonly pcaps: Readonly<Record<string, string>>;
}

/** Says that, and why, a result is that of a second measuring; null: it is not. */
export function discardedWords({ discarded }: ScenarioResult): string | null {
  if (discarded === null) return null;
  const { lateMs, passed } = discarded;
  return `Measured again: the first time the machine gave the lab the processor ${lateMs} ms late (it had ${passed ? "passed" : "failed"})`;
}
