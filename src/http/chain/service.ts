import { findMiddlebox } from "../../plan/middleboxes.js";
import type { Hop, Role, Span } from "./hop.js";

/**
 * A service of the catalogue of middleboxes: a load balancer that ends connections has one idle timeout for both sides; what passes packets
 * on forgets idle flows.
 *
 * @throws DeadpeerError `unknown-path`, `bad-duration`.
 * @example readService("aws-alb", "proxy").keeping?.keepAlive.ms // 60000
 */
export function readService(given: string, role: Role): Hop {
  const { name, idleMs, settableMs, terminates } = findMiddlebox(given);
  if (!terminates)
    return { role, given, name, sending: null, keeping: null, forgetsMs: idleMs, upstreams: [], faults: [] };
  const idle: Span = { ms: idleMs, name: "idle timeout", place: "as it comes" };
  const set =
    settableMs === undefined
      ? null
      : (ms: number): string =>
          `idle timeout ${Math.min(settableMs.max, Math.max(settableMs.min, ms)) / 1_000} s`;
  return {
    role,
    given,
    name,
    sending: { noReuse: null, idle, hint: null, set },
    keeping: { noKeepAlive: null, keepAlive: idle, advertisedMs: null, set },
    forgetsMs: null,
    upstreams: [],
    faults: [],
  };
}
