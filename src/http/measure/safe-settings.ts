import type { HttpMeasured } from "./measurement.js";

/** What a client of this server can safely set. */
export interface SafeSettings {
  /** Close a connection of your own that has been idle for so long; 0: do not use one again; null: nothing was found that asks for it. */
  readonly clientIdleMs: number | null;
  /** Requests on one connection, where the server does not announce its last one; null: no need. */
  readonly requestsPerConnection: number | null;
}

/** A busy client's timers are late by as much, now and then. */
const mostMarginMs = 1_000;

/**
 * The client has to close before the server does, by so much that a request that is sent at the last moment arrives in time: the round
 * trip twice, and what a busy program's timers are late by; of a very short time not more than a quarter.
 */
export function marginMs(keptMs: number, rttMs: number): number {
  return Math.max(Math.min(mostMarginMs, keptMs / 4), 2 * rttMs);
}

/** What is safe, from what was measured and what the server says, whichever is less. */
export function safeSettings({ look, idle, requests }: HttpMeasured): SafeSettings {
  const limit = requests === null || requests.announced ? null : requests.limit;
  const requestsPerConnection = limit;
  if (look.whyNot !== null) return { clientIdleMs: 0, requestsPerConnection: 1 };
  const kept = idle === null || idle.highMs === null ? null : idle.lowMs;
  const said = look.hint?.timeoutMs ?? null;
  const shortest = kept === null || said === null ? (kept ?? said) : Math.min(kept, said);
  if (shortest === null) return { clientIdleMs: null, requestsPerConnection };
  const safeMs = Math.max(0, Math.floor(shortest - marginMs(shortest, look.rttMs ?? 0)));
  return { clientIdleMs: safeMs, requestsPerConnection };
}
