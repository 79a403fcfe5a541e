/** What is known about how long a server keeps an idle connection. */
export interface IdleKnowledge {
  /** From the Keep-Alive header of its last answer; null: it sent none that can be read. */
  readonly hintMs: number | null;
  /** As it was measured, for example by `deadpeer http`; null: nobody did. */
  readonly measuredMs: number | null;
}

/** The bounds that hold whatever a server says. */
export interface IdleBounds {
  /** Where nothing is known. */
  readonly defaultMs: number;
  readonly maxMs: number;
}

/**
 * How long a connection may lie idle and still be used again. The server's clock starts when it sends the end of its answer, half a
 * round trip before that is read here, and runs until the next request has reached it, half a round trip after that was sent: one
 * round trip has to be left over, and what timers on both sides are late.
 *
 * Of hint and measurement the shorter counts: servers were seen that advertise more than they keep.
 *
 * @param marginMs a round trip, and room for timers.
 * @returns 0: not to be used again at all.
 * @example idleBudgetMs({ hintMs: 5000, measuredMs: null }, { defaultMs: 4000, maxMs: 600000 }, 300) // 4700
 */
export function idleBudgetMs(
  { hintMs, measuredMs }: IdleKnowledge,
  { defaultMs, maxMs }: IdleBounds,
  marginMs: number,
): number {
  const keptMs = Math.min(hintMs ?? Infinity, measuredMs ?? Infinity);
  if (keptMs === Infinity) return Math.min(defaultMs, maxMs);
  return Math.min(Math.max(keptMs - marginMs, 0), maxMs);
}
