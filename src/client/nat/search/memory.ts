import { DeadpeerError } from "../../../errors.js";
import { type Plan, planDetection } from "../../../plan/planner.js";
import type { Bracket } from "./search.js";

/** What was found, by who spoke after the silence. */
export interface Directions {
  readonly client: Bracket;
  /** null: only an echo server speaks when it is told to. */
  readonly server: Bracket | null;
}

/** Both directions in one: a connection is of use for as long as either end can speak on it. */
export function together({ client, server }: Directions): Bracket {
  if (server === null) return client;
  const first = (server.lostMs ?? Infinity) < (client.lostMs ?? Infinity) ? server : client;
  return {
    survivedMs: Math.min(client.survivedMs, server.survivedMs),
    lostMs: first.lostMs,
    lossKind: first.lossKind,
    unasked: first.unasked,
    ceiling: client.ceiling ?? server.ceiling,
    strayMs: [...client.strayMs, ...server.strayMs].sort((a, b) => a - b),
  };
}

/**
 * The time that a plan is made for: what was survived; but where connections were lost after less, and not only once, there are
 * several paths, and the shortest memory counts.
 */
export function rememberedMs({ survivedMs, strayMs: [first, second] }: Bracket): number {
  return second === undefined || first === undefined ? survivedMs : Math.min(survivedMs, first);
}

/**
 * A time as `--path` takes it, rounded down.
 *
 * @example pathOption(8_970) // "8.9s"
 */
export function pathOption(ms: number): string {
  return ms < 60_000 ? `${Math.floor(ms / 100) / 10}s` : `${Math.floor(ms / 1_000)}s`;
}

/**
 * The plan for a path that remembers for so long.
 *
 * @returns null where no TCP keepalive can hold it: the kernel counts in whole seconds, and a lost probe has to be repeated in time.
 */
export function fittingPlan(bracket: Bracket, detectWithin: string): Plan | null {
  const path = pathOption(rememberedMs(bracket));
  if (path === "0s") return null;
  try {
    const plan = planDetection({ detectWithin, path: [path] });
    return plan.warnings.some(({ code }) => code === "idle-exceeds-path") ? null : plan;
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "budget-impossible") return null;
    throw error;
  }
}
