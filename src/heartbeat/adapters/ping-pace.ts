import { durationMs } from "../../plan/duration.js";

/** gRPC's servers allow a ping in five minutes without data, and close after the third that comes sooner (doc/keepalive.md). */
const grpcEvery = "5m";

/**
 * How often a server may be pinged. A gRPC server that has had too many pings says so and closes (GOAWAY, ENHANCE_YOUR_CALM,
 * "too_many_pings"); then connections to it have to ping half as often from then on, as gRPC's own clients do (proposal A8).
 *
 * @example
 * const pace = new PingPace();
 * heartbeat(overHttp2(session, { pace }), "normal");
 */
export class PingPace {
  #everyMs: number;

  /**
   * @param every what the server allows; without calls under way a gRPC server counts two hours, unless it permits more.
   * @throws DeadpeerError `bad-duration`.
   */
  constructor({ every = grpcEvery }: { readonly every?: string | number } = {}) {
    this.#everyMs = durationMs(every, "every");
  }

  get everyMs(): number {
    return this.#everyMs;
  }

  /** The server has complained. */
  slower(): void {
    this.#everyMs *= 2;
  }
}
