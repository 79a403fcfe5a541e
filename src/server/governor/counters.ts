import type { EvictionReason } from "./assess.js";
import { evictionReasons, type RefusalReason, refusalReasons } from "./reasons.js";

/** A governor's figures at one moment. */
export interface GovernorSnapshot {
  readonly connections: number;
  /** Clients with a connection; null: nobody is counted. */
  readonly clients: number | null;
  readonly draining: boolean;
  /** Since the governor began. */
  readonly accepted: number;
  readonly refused: Readonly<Record<RefusalReason, number>>;
  readonly evicted: Readonly<Record<EvictionReason, number>>;
}

/** What has happened since the governor began. */
export class Counters {
  accepted = 0;
  readonly refused = zeros(refusalReasons);
  readonly evicted = zeros(evictionReasons);

  snapshot(gauges: Pick<GovernorSnapshot, "connections" | "clients" | "draining">): GovernorSnapshot {
    return {
      ...gauges,
      accepted: this.accepted,
      refused: { ...this.refused },
      evicted: { ...this.evicted },
    };
  }
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
