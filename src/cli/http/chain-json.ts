import type { Audit } from "../../http/chain/audit.js";
import type { Hop, Span } from "../../http/chain/hop.js";

/** What `http chain --json` prints. */
export function chainJson(hops: readonly Hop[], { pairs, findings }: Audit): object {
  return {
    hops: hops.map(({ role, given, name, sending, keeping, forgetsMs }) => ({
      role,
      given,
      name,
      upstream:
        sending === null
          ? null
          : { reuses: sending.noReuse === null, ...from(sending.noReuse === null ? sending.idle : null) },
      downstream:
        keeping === null
          ? null
          : {
              keeps: keeping.noKeepAlive === null,
              ...from(keeping.noKeepAlive === null ? keeping.keepAlive : null),
              advertisedMs: keeping.advertisedMs,
            },
      forgetsMs,
    })),
    pairs,
    findings: findings.map(({ code, message, hop, set }) => ({ code, message, hop, set })),
  };
}

/** `idleMs` null: without end, or none is kept. */
function from(span: Span | null): object {
  return { idleMs: span?.ms ?? null, setBy: span?.name ?? null, place: span?.place ?? null };
}
