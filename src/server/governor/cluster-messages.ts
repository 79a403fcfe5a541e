import { createHash } from "node:crypto";
import { z } from "zod";
import type { CountLimits, LimitReason } from "./clients.js";

/** Entries of each kind that one message may have; what is more waits for the next. */
export const mostEntries = 1_000;
const longestKey = 128;

/**
 * Between a worker and the primary of a cluster. A worker has one message on its way at a time, and what comes up meanwhile goes with
 * the next: under load one message serves many connections, and neither side's queue can grow.
 */
export interface WorkerMessage {
  readonly deadpeer: "governor";
  /** Whose connections: the same server in each worker. */
  readonly group: string;
  /** Counts the worker's messages; the answer repeats it. */
  readonly number: number;
  /** The worker begins, or begins again: what the primary knew of it is void. */
  readonly limits?: CountLimits;
  /** Connections that it holds already, by client. */
  readonly held: readonly Counted[];
  /** Connections that have ended, by client; they are given back before anything is asked. */
  readonly gone: readonly Counted[];
  readonly asks: readonly Ask[];
}

export type Counted = readonly [key: string, count: number];

/** Of a client that wants one more connection, and whether another worker may be asked to make room. */
export type Ask = readonly [key: string, shed: boolean];

/** An answer to each ask, in order; null: it is counted. */
export interface PrimaryAnswer {
  readonly deadpeer: "governor";
  readonly group: string;
  readonly number: number;
  readonly answers: readonly (LimitReason | null)[];
}

/** The primary wants a worker to end a connection of this client, or of anybody (null). */
export interface ShedOrder {
  readonly deadpeer: "governor";
  readonly group: string;
  readonly shed: string | null;
}

const key = z.string().max(longestKey);
const limit = z.int().min(1).nullable();
const counted = z.array(z.tuple([key, z.int().min(1)])).max(mostEntries);
const workerMessage = z.strictObject({
  deadpeer: z.literal("governor"),
  group: z.string().max(256),
  number: z.int(),
  limits: z
    .strictObject({
      total: limit,
      perClient: limit,
      newPerClient: z.strictObject({ count: z.int().min(1), withinMs: z.number().gt(0) }).nullable(),
    })
    .optional(),
  held: counted,
  gone: counted,
  asks: z.array(z.tuple([key, z.boolean()])).max(mostEntries),
});

/** What a worker says to the primary; null: it is no word of a governor's. */
export function workerMessageIn(message: unknown): WorkerMessage | null {
  if (!isOurs(message)) return null;
  const { data } = workerMessage.safeParse(message);
  return (data as WorkerMessage | undefined) ?? null;
}

/** What the primary says to a worker's governor of this group. */
export function primaryMessageIn(message: unknown, group: string): PrimaryAnswer | ShedOrder | null {
  return isOurs(message) && message.group === group ? (message as PrimaryAnswer | ShedOrder) : null;
}

/** A client's name as it goes over to the primary: one that is made by the application may be of any length. */
export function keyToSend(key: string): string {
  return key.length <= longestKey ? key : createHash("sha256").update(key).digest("base64url");
}

/** The application's own messages take the same way. */
function isOurs(message: unknown): message is { readonly deadpeer: "governor"; readonly group: unknown } {
  return (
    typeof message === "object" &&
    message !== null &&
    (message as { readonly deadpeer?: unknown }).deadpeer === "governor"
  );
}
