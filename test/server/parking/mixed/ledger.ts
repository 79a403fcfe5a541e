import type { VerdictState } from "../../../../src/verdict/verdict.js";

/** One direction of a session's messages, as one side has it. */
export interface Tally {
  messages: number;
  bytes: number;
}

/** What a client's side knows of one of its sessions, at its end. */
export interface ClientEntry {
  readonly nonce: number;
  readonly sent: Tally;
  readonly received: Tally;
  readonly beats: number;
  /** How its connections ended, one after the other, by the verdict that each deserves. */
  readonly ends: readonly VerdictState[];
}

/** What the server knows of it. `nonce` is null where no message came that says it. */
export interface ServerEntry {
  readonly nonce: number | null;
  readonly sent: Tally;
  readonly received: Tally;
  readonly verdicts: readonly VerdictState[];
  readonly end: string | null;
  /** Messages that are not what was sent, or not in their place. */
  readonly broken: number;
}

/** What the server says of itself. */
export interface ServerState {
  readonly sessions: number;
  readonly parked: number;
  readonly mostParked: number;
  readonly refused: readonly string[];
}

/** From the run to a program of its. */
export type Order =
  | { readonly do: "state" }
  | { readonly do: "entries" }
  | { readonly do: "finish" }
  | { readonly do: "close" };

/** From a program to the run. */
export type Word =
  | { readonly is: "listening"; readonly port: number }
  | { readonly is: "state"; readonly state: ServerState }
  | { readonly is: "server-entries"; readonly entries: readonly ServerEntry[] }
  | { readonly is: "started" }
  | { readonly is: "settled" }
  | { readonly is: "client-entries"; readonly entries: readonly ClientEntry[]; readonly retries: number }
  | { readonly is: "failed"; readonly problem: string };
