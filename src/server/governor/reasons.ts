import { formatDuration } from "../../plan/duration.js";
import type { EvictionReason } from "./assess.js";
import type { GovernorSettings } from "./policy.js";

/** Why a new connection, or a request of one client too many, was not taken. */
export const refusalReasons = [
  "total",
  "per-client",
  "rate",
  "pressure",
  "proxy-malformed",
  "proxy-forged",
  "proxy-untrusted",
  "proxy-late",
] as const;
export type RefusalReason = (typeof refusalReasons)[number];

export const evictionReasons = [
  "first-byte",
  "handshake",
  "head",
  "body",
  "slow-read",
  "idle",
  "age",
  "total",
  "per-client",
  "pressure",
  "drain",
] as const satisfies readonly EvictionReason[];

type Words = (settings: GovernorSettings) => string;

const words: Readonly<Record<EvictionReason, Words>> = {
  "first-byte": ({ times }) => `no byte came within ${formatDuration(times.firstByteMs)}`,
  handshake: ({ times }) => `TLS was not agreed on within ${formatDuration(times.handshakeMs)}`,
  head: ({ times }) => `a request's head was not complete within ${formatDuration(times.headMs)}`,
  body: ({ times }) => `a request's body came at less than ${times.body?.bytesPerSecond} bytes a second`,
  "slow-read": ({ times }) =>
    `a response was taken at less than ${times.body?.bytesPerSecond} bytes a second`,
  idle: ({ times }) => `the idle limit of ${formatDuration(times.idleMs)}`,
  age: ({ age }) => `the maximum age of ${formatDuration(age?.afterMs ?? null)}`,
  total: ({ counts }) => `room was needed: ${counts.total} connections are allowed`,
  "per-client": ({ counts }) => `room was needed: ${counts.perClient} connections of a client are allowed`,
  pressure: () => "open files or memory run short",
  drain: () => "the server is shutting down",
};

/** The policy in words, as a verdict's sentence ends. */
export function policyWords(reason: EvictionReason, settings: GovernorSettings): string {
  return words[reason](settings);
}
