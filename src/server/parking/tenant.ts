import type { Why } from "./handback.js";

/** Whoever is parked. */
export interface Tenant {
  /** It is out of the lot, and the descriptor is its own from now on. */
  handedBack(back: HandedBack): void;
}

/** What the lot knows of a session that leaves it. */
export interface HandedBack {
  /** null: somebody else has closed it. */
  readonly fd: number | null;
  /** `taken-over`: the worker is no more. */
  readonly why: Why | "taken-over";
  readonly bytes: Uint8Array | null;
  readonly unsent: Uint8Array | null;
  /** A read or write that failed. */
  readonly failed: { readonly errno: number; readonly syscall: "read" | "write" } | null;
  readonly heardMs: number;
  readonly paidMs: number;
}

/** What the attendant has to know of a session. */
export interface Terms {
  readonly heardMs: number;
  readonly paidMs: number;
  readonly patienceMs: number;
  readonly sendEveryMs: number;
  readonly received: number;
  readonly acknowledged: number;
}
