import cluster, { type Worker } from "node:cluster";
import { systemClock } from "../../kernel/clock.js";
import type { TimerClock } from "../../time/clock.js";
import type { LimitReason } from "./clients.js";
import {
  type PrimaryAnswer,
  type ShedOrder,
  type WorkerMessage,
  workerMessageIn,
} from "./cluster-messages.js";
import { DeadpeerError } from "../../errors.js";
import { SharedCounts } from "./shared-counts.js";

/** A server's connections over all workers, as the primary counts them. */
export interface ClusterFigures {
  /** The server: where it listens. */
  readonly group: string;
  readonly connections: number;
  /** Clients with a connection. */
  readonly clients: number;
}

/** Counts the connections of all workers, and answers their governors; made by `governCluster`. */
export class ClusterGovernor implements Disposable {
  readonly #groups = new Map<string, SharedCounts>();
  readonly #clock: TimerClock;

  /** Use `governCluster`. */
  constructor(clock: TimerClock) {
    this.#clock = clock;
    cluster.on("message", this.#onMessage);
    cluster.on("exit", this.#onExit);
  }

  /** Each governed server, over all workers. */
  figures(): ClusterFigures[] {
    return Array.from(this.#groups, ([group, counts]) => ({
      group,
      connections: counts.total,
      clients: counts.size,
    }));
  }

  /** Answers no more: each worker then holds its own connections to the limits. */
  close(): void {
    cluster.off("message", this.#onMessage);
    cluster.off("exit", this.#onExit);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  readonly #onMessage = (worker: Worker, message: unknown): void => {
    const said = workerMessageIn(message);
    if (said === null) return;
    const { group, number } = said;
    const counts = this.#groups.get(group) ?? new SharedCounts();
    this.#groups.set(group, counts);
    const answers = this.#answer(worker, counts, said);
    send(worker, { deadpeer: "governor", group, number, answers });
  };

  #answer(worker: Worker, counts: SharedCounts, said: WorkerMessage): (LimitReason | null)[] {
    if (said.limits !== undefined) {
      counts.drop(worker.id);
      counts.limits = said.limits;
    }
    for (const [key, count] of said.held) counts.add(worker.id, key, count);
    for (const [key, count] of said.gone) counts.give(worker.id, key, count);
    const nowMs = this.#clock.monotonic();
    return said.asks.map(([key, shed]) => {
      const reason = counts.ask(worker.id, key, nowMs);
      if (shed && (reason === "total" || reason === "per-client"))
        this.#shed(worker, said.group, counts, reason === "total" ? null : key);
      return reason;
    });
  }

  /** Has another worker make room; the one that asked asks again. */
  #shed(besides: Worker, group: string, counts: SharedCounts, key: string | null): void {
    const id = counts.mostHolding(besides.id, key);
    const worker = id === null ? undefined : cluster.workers?.[id];
    if (worker !== undefined) send(worker, { deadpeer: "governor", group, shed: key });
  }

  /** Only when it has ended: one that has merely disconnected may still hold its connections. */
  readonly #onExit = (worker: Worker): void => {
    for (const counts of this.#groups.values()) counts.drop(worker.id);
  };
}

function send(worker: Worker, message: PrimaryAnswer | ShedOrder): void {
  // It may be ending; whatever it held is given back when it has.
  if (worker.isConnected()) worker.send(message, undefined, ignore);
}

function ignore(): void {}

/**
 * Has the limits of governed servers hold over all workers of a cluster together. Called once in the primary; workers call
 * `governServer` as everywhere, and their governors find the primary by themselves. The limits are the workers' own.
 *
 * @throws DeadpeerError `bad-option` in a worker.
 * @example
 * if (cluster.isPrimary) {
 *   governCluster();
 *   for (let n = 0; n < 2; n++) cluster.fork();
 * } else governServer(http.createServer(app).listen(8080), { total: 10_000, perClient: 100 });
 */
export function governCluster({
  clock = systemClock,
}: {
  readonly clock?: TimerClock;
} = {}): ClusterGovernor {
  if (!cluster.isPrimary)
    throw new DeadpeerError(
      "bad-option",
      "governCluster: call it in the primary; a worker calls governServer",
    );
  return new ClusterGovernor(clock);
}
