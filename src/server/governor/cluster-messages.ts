import { createHash } from "node:crypto";
import type { CountLimits, LimitReason } from "./clients.js";

/** Entries of each kind that one message may have; what is more waits for the next. */
export const mostEntries = 1_000;
const longestKey = 128;
const longestGroup = 256;

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

/** What a worker says to the primary; null: it is no word of a governor's, or of one that says other things. */
export function workerMessageIn(message: unknown): WorkerMessage | null {
  if (!isOurs(message)) return null;
  const { group, number, limits, held, gone, asks } = message as Unread;
  const isWhole =
    typeof group === "string" &&
    group.length <= longestGroup &&
    Number.isSafeInteger(number) &&
    (limits === undefined || isLimits(limits)) &&
    isListOf(held, isCounted) &&
    isListOf(gone, isCounted) &&
    isListOf(asks, isAsk);
  return isWhole ? (message as unknown as WorkerMessage) : null;
}

type Unread = { readonly [K in keyof WorkerMessage]?: unknown };

const isListOf = (value: unknown, is: (entry: readonly unknown[]) => boolean): boolean =>
  Array.isArray(value) &&
  value.length <= mostEntries &&
  value.every((entry: unknown) => Array.isArray(entry) && entry.length === 2 && is(entry));

const isCounted = ([key, count]: readonly unknown[]): boolean => isKey(key) && isCount(count);
const isAsk = ([key, shed]: readonly unknown[]): boolean => isKey(key) && typeof shed === "boolean";
const isKey = (key: unknown): boolean => typeof key === "string" && key.length <= longestKey;
const isCount = (count: unknown): boolean => Number.isSafeInteger(count) && (count as number) >= 1;

function isLimits(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { total, perClient, newPerClient } = value as { readonly [K in keyof CountLimits]?: unknown };
  if (![total, perClient].every((limit) => limit === null || isCount(limit))) return false;
  if (typeof newPerClient !== "object" || newPerClient === null) return newPerClient === null;
  const { count, withinMs } = newPerClient as { readonly count?: unknown; readonly withinMs?: unknown };
  return isCount(count) && Number.isFinite(withinMs) && (withinMs as number) > 0;
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
