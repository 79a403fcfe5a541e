import type { Server, Socket } from "node:net";
import type { DeadpeerError } from "../../errors.js";
import type { ClockTimer, TimerClock } from "../../time/clock.js";
import type { Clients, CountLimits, LimitReason } from "./clients.js";
import { ClusterWorker, type PrimaryChannel } from "./cluster-worker.js";

export interface ClusterDoorHost {
  readonly server: Server;
  readonly limits: CountLimits;
  readonly clients: Clients;
  readonly clock: TimerClock;
  /** One connection too many makes room for itself, where that is possible. */
  readonly evict: boolean;
  /** What this worker's own counts say; null: there is room, or room has been made. */
  ask(key: string): LimitReason | null;
  /** Ends the connection that has been inactive for longest, of this client or (null) of all; false: none can be ended. */
  makeRoom(key: string | null): boolean;
  /** Limits hold for this worker alone from now on. */
  alone(problem: DeadpeerError): void;
}

/** So often, and after so long, one that waits for another worker to make room asks again. */
const tries = 5;
const tryAgainMs = 50;

/** Where connections wait until the cluster's primary has counted them: nothing of theirs is read by the server before. */
export class ClusterDoor {
  readonly #host: ClusterDoorHost;
  readonly #channel: PrimaryChannel;
  readonly #waiting = new Set<ClockTimer>();
  #worker: ClusterWorker | null = null;

  constructor(host: ClusterDoorHost, channel: PrimaryChannel = processChannel) {
    this.#host = host;
    this.#channel = channel;
  }

  /** Whether limits hold over all workers; before the first connection that is not known. */
  get shared(): boolean {
    return this.#worker?.shared ?? false;
  }

  /**
   * Asks whether a connection may be taken. It may be closed meanwhile.
   *
   * @param decided called once; null: it is counted, and `gone` gives it back.
   */
  ask(socket: Socket, key: string, decided: (reason: LimitReason | null) => void): void {
    socket.on("error", ignore);
    this.#ask(key, 0, (reason) => {
      socket.off("error", ignore);
      decided(reason);
    });
  }

  /** A connection that was taken has ended, or was not wanted any more. */
  gone(key: string): void {
    this.#worker?.gone(key);
  }

  close(): void {
    for (const timer of this.#waiting) this.#host.clock.clear(timer);
    this.#waiting.clear();
    this.#worker?.close();
  }

  #ask(key: string, tried: number, decided: (reason: LimitReason | null) => void): void {
    this.#worker ??= this.#begin();
    // This worker's own connections make room first; then another worker is asked, once.
    this.#worker.ask(key, tried === 1, (answer) => {
      const host = this.#host;
      if (answer === "alone") decided(host.ask(key));
      else if (answer === null || answer === "rate" || !host.evict || tried === tries) decided(answer);
      else if (host.makeRoom(answer === "total" ? null : key)) this.#ask(key, tried + 1, decided);
      else if (tried === 0) this.#ask(key, 1, decided);
      else this.#later(() => this.#ask(key, tried + 1, decided));
    });
  }

  #later(work: () => void): void {
    const timer = this.#host.clock.set(() => {
      this.#waiting.delete(timer);
      work();
    }, tryAgainMs);
    this.#waiting.add(timer);
  }

  /** Not before the first connection: only then it is certain where the server listens. */
  #begin(): ClusterWorker {
    const host = this.#host;
    const { server, limits, clients, clock } = host;
    return new ClusterWorker({
      group: nameOf(server),
      limits,
      clock,
      channel: this.#channel,
      held: function* () {
        if (!clients.counting && clients.total > 0) yield ["", clients.total];
        for (const { key, count } of clients.clients()) yield [key, count];
      },
      shed: (key) => void host.makeRoom(key),
      alone: (problem) => host.alone(problem),
    });
  }
}

/** The same in each worker of a cluster, also where the system has chosen the port. */
function nameOf(server: Server): string {
  const where = server.address();
  if (where === null) return "";
  return typeof where === "string" ? where : `${where.address} ${where.port}`;
}

/** A cluster's worker reaches its primary as any child its parent. */
const processChannel: PrimaryChannel = {
  send: (message) => {
    if (!process.connected) return false;
    // Whether it arrives, the answer says.
    process.send?.(message, undefined, undefined, ignore);
    return true;
  },
  listen: (heard, closed) => {
    process.on("message", heard).on("disconnect", closed);
    return () => process.off("message", heard).off("disconnect", closed);
  },
};

function ignore(): void {}
