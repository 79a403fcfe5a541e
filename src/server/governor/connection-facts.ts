import { figuresOf } from "../../guard/gather.js";
import { baseFd } from "../../guard/inner-socket.js";
import { judge, type Verdict } from "../../verdict/verdict.js";
import { type EvictionReason, observe, type Phase } from "./assess.js";
import { addressKey } from "./client-key.js";
import type { Held } from "./held.js";
import { addressOf } from "./networks.js";
import type { GovernorSettings } from "./policy.js";
import type { ProxyHeader } from "./proxy-protocol.js";
import { policyWords } from "./reasons.js";
import { look } from "./sight.js";

/** One connection, as it is now. */
export interface HeldConnection {
  /** The other end of the TCP connection: a proxy's, where there is one; of a Unix socket `unix` and 0. */
  readonly remote: { readonly address: string; readonly port: number };
  /** For whom a proxy speaks, by PROXY protocol. */
  readonly proxied: ProxyHeader | null;
  /** Whom it counts as. */
  readonly client: string;
  /** What it is doing. */
  readonly phase: Phase;
  readonly ageMs: number;
  /** Since bytes last moved, in either direction. */
  readonly idleMs: number;
  readonly bytesRead: number;
  /** That the peer has taken; where the kernel cannot be asked, that the kernel has. */
  readonly bytesTaken: number;
  /** It is being ended. */
  readonly leaving: boolean;
}

export function describe(held: Held, nowMs: number, ipv6Prefix: number): HeldConnection {
  const { socket } = held;
  const address = addressOf(socket);
  const sight = look(held);
  observe(held, sight, nowMs);
  return {
    remote: { address, port: socket.remotePort ?? 0 },
    proxied: held.proxied,
    client: held.client?.key ?? addressKey(held.proxied?.source?.address ?? address, ipv6Prefix),
    phase: sight.phase,
    ageMs: nowMs - held.acceptedMs,
    idleMs: nowMs - held.progressMs,
    bytesRead: sight.read,
    bytesTaken: sight.taken,
    leaving: held.leaving || held.retiring !== null,
  };
}

/** Why a connection is ended by policy, said while its descriptor is open. */
export function verdictOn(
  held: Held,
  reason: EvictionReason,
  settings: GovernorSettings,
  at: number,
  ageMs: number,
): Verdict {
  return judge({
    at,
    closedBy: "policy",
    policy: policyWords(reason, settings),
    ageMs,
    figures: figuresOf(baseFd(held.socket)),
  });
}
