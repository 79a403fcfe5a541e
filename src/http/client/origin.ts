import { idleBudgetMs } from "./idle-budget.js";
import type { KeepAliveSettings } from "./options.js";
import { RoundTrip } from "./round-trip.js";

/** What is remembered of one origin, longer than any connection to it lives. */
export class Origin {
  /** As URLs write it. */
  readonly name: string;
  readonly roundTrip = new RoundTrip();
  readonly #settings: KeepAliveSettings;
  readonly #measuredMs: number | null;
  #handshakeMs: number | null = null;

  constructor(name: string, settings: KeepAliveSettings) {
    this.name = name;
    this.#settings = settings;
    this.#measuredMs = settings.measuredMsOf(name);
  }

  /** How long it keeps an idle connection, as somebody measured it. */
  get measuredMs(): number | null {
    return this.#measuredMs;
  }

  /** Averaged over connections made, as the round trip is; 0 before the first. */
  get handshakeMs(): number {
    return this.#handshakeMs ?? 0;
  }

  /** Takes note that a connection was made, and how long that took, name, TCP and TLS together. */
  connected(handshakeMs: number): void {
    this.#handshakeMs =
      this.#handshakeMs === null ? handshakeMs : this.#handshakeMs + (handshakeMs - this.#handshakeMs) / 8;
  }

  /** How long one of its connections may have been idle and still be used. */
  idleBudgetMs(hintMs: number | null): number {
    return idleBudgetMs(
      { hintMs, measuredMs: this.#measuredMs },
      this.#settings.bounds,
      this.roundTrip.longestMs + this.#settings.slackMs,
    );
  }
}

/** A crawler meets millions of them. */
const mostOrigins = 10_000;

/** One memory for each origin; of the last so many. */
export class Origins {
  readonly #settings: KeepAliveSettings;
  readonly #byName = new Map<string, Origin>();

  constructor(settings: KeepAliveSettings) {
    this.#settings = settings;
  }

  of(name: string): Origin {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const origin = new Origin(name, this.#settings);
    this.#byName.set(name, origin);
    if (this.#byName.size > mostOrigins) this.#byName.delete(this.#byName.keys().next().value ?? name);
    return origin;
  }
}
