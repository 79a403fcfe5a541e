/** A time, and who set it. */
export interface Span {
  /** null: it never ends by itself. */
  readonly ms: number | null;
  /** The directive or option, as its program calls it. */
  readonly name: string;
  /** Where it stands, as far as it is known: `nginx.conf:12`, or "default". */
  readonly place: string;
}

/** How a hop uses connections to the next one. */
export interface Sending {
  /** Why it never uses one again, in words that follow its name; null: it does. */
  readonly noReuse: string | null;
  /** For how long it keeps one idle. */
  readonly idle: Span;
  /** How it takes a Keep-Alive hint of the next hop's: null: it does not look at it. */
  readonly hint: Hint | null;
  /** The line that sets another time; null: it cannot be set here. */
  readonly set: ((ms: number) => string) | null;
}

export interface Hint {
  /** It counts instead of the time that is set, or only where it is shorter. */
  readonly counts: "instead" | "if-shorter";
  /** How much is taken off it. */
  readonly marginMs: number;
  /** It is not believed beyond this. */
  readonly maxMs: number | null;
}

/** How a hop keeps connections from the one before. */
export interface Keeping {
  /** Why it keeps none, in words that follow its name; null: it does. */
  readonly noKeepAlive: string | null;
  readonly keepAlive: Span;
  /** What its Keep-Alive header says; null: nothing. */
  readonly advertisedMs: number | null;
  readonly set: ((ms: number) => string) | null;
}

export type Role = "client" | "proxy" | "server";

/** One program, service or box on the way of a request. */
export interface Hop {
  readonly role: Role;
  /** As it was given. */
  readonly given: string;
  /** For people: "nginx (nginx.conf)". */
  readonly name: string;
  /** null: it sends nothing on, or that is not known. */
  readonly sending: Sending | null;
  readonly keeping: Keeping | null;
  /** A firewall or NAT that passes packets on and forgets idle flows after so long; null: it ends connections. */
  readonly forgetsMs: number | null;
  /** By which names `--upstream` can pick one of those that it passes on to; empty where it has none. */
  readonly upstreams: readonly string[];
  /** Where one of both is not known, why, in words that follow its name. */
  readonly unknown?: { readonly sending?: string; readonly keeping?: string };
  /** What is wrong with it alone. */
  readonly faults: readonly Fault[];
}

/** What `http chain` can find. */
export const chainFindings = {
  "idle-exceeds-keepalive": "a hop keeps idle connections for as long as the next one does, or longer",
  "idle-never-ends": "a hop never ends idle connections, and the next one does",
  "margin-too-small": "a hop ends idle connections only just before the next one does",
  "path-forgets-first": "a firewall, NAT or load balancer forgets connections that a hop still uses",
  "keepalive-not-in-effect":
    "a hop is to keep connections to the next one, and its configuration prevents it",
  "advertises-more-than-it-keeps":
    "a hop says in its Keep-Alive header that it keeps connections for longer than it does",
  "headers-timeout-below-keepalive": "Node's headersTimeout is not above its keepAliveTimeout",
  "unknown-times": "what a hop does with idle connections is not known",
} as const;

export type ChainFindingCode = keyof typeof chainFindings;

export interface Fault {
  readonly code: ChainFindingCode;
  readonly message: string;
  /** What to set: the first line by itself mends it, and so does each other one. */
  readonly set: readonly { readonly hop: string; readonly line: string }[];
}

/** @example wholeSeconds(65_000) // "65s" */
export function wholeSeconds(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}
