import { setImmediate } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import type { DiagIdentity } from "../../kernel/diag-socket.js";
import type { NetworkNamespace } from "../../kernel/namespaces.js";
import { SocketDestroyer } from "../../kernel/sock-destroy.js";
import type { Connection } from "../connection.js";
import { type ConnectionFilter, parseFilter } from "../filter.js";
import { requireChoice } from "../selective.js";
import { connectionStates } from "../states.js";
import { HostWalk, type Sight } from "../survey.js";
import { type Unanswered, unanswered } from "./unanswered.js";

export interface KillOptions {
  /** Which connections; listeners too if it names their state. */
  readonly filter?: ConnectionFilter;
  /** Every connection is meant, and no filter says otherwise. */
  readonly all?: boolean;
  /**
   * Only those whose peer has owed an answer for so long, to data or to probes, and was not heard in that time. An idle connection
   * is never one of them: its peer owes nothing.
   */
  readonly silentForMs?: number;
  /** Namespaces to look into, instead of those that the filter names. */
  readonly namespaces?: readonly NetworkNamespace[];
}

/** A connection that is to be ended. */
export interface Candidate {
  readonly connection: Connection;
  /** What its peer owes an answer to; null: nothing, or it is not known. */
  readonly unanswered: Unanswered | null;
  readonly identity: DiagIdentity;
  /** null: the own one. */
  readonly namespace: NetworkNamespace | null;
}

export interface Candidates {
  readonly connections: readonly Candidate[];
  /** As in Repair. */
  readonly hidden: HostWalk["hidden"];
  readonly sight: Sight;
}

/**
 * What came of one. `gone`: it had ended by itself. `answered`: its peer has been heard since it was listed. `refused`: the kernel
 * does not end such a socket.
 */
export interface EndedConnection extends Candidate {
  readonly outcome: "ended" | "gone" | "answered" | "refused";
  /** What the kernel says where it refuses. */
  readonly reason: string | null;
}

/**
 * The connections that endConnections would end. TIME_WAIT is left out unless states were asked for: there the connection has ended
 * already, and what is left keeps its last packets from being taken for another's.
 *
 * @throws DeadpeerError `bad-option` without a filter or `all`; as HostWalk.
 * @example candidates({ filter: parseFilter({ process: ["worker"] }), silentForMs: 600_000 }).connections.length
 */
export function candidates(options: KillOptions): Candidates {
  const { filter = parseFilter(), all = false, silentForMs, namespaces } = options;
  requireChoice(filter, all);
  const isEveryState = connectionStates.every((state) => filter.states.includes(state));
  const states = isEveryState ? filter.states.filter((state) => state !== "TIME_WAIT") : filter.states;
  const walk = new HostWalk({
    filter: { ...filter, states },
    ...(namespaces === undefined ? {} : { namespaces }),
  });
  const connections = found(walk, silentForMs ?? null);
  return { connections, hidden: walk.hidden, sight: walk.sight() };
}

function found(walk: HostWalk, silentForMs: number | null): Candidate[] {
  const candidates: Candidate[] = [];
  for (const connection of walk) {
    const { socket, place } = walk;
    if (socket === null || place === null) continue;
    const owed = owedIn(connection, walk);
    if (silentForMs !== null && (owed === null || owed.forMs < silentForMs)) continue;
    candidates.push({
      connection,
      unanswered: owed,
      identity: socket.identity,
      namespace: place.namespace,
    });
  }
  return candidates;
}

function owedIn(
  { timer, keepalive, settingsFrom, lastHeardMs }: Connection,
  { socket }: HostWalk,
): Unanswered | null {
  return unanswered({
    timer,
    info: socket?.info ?? null,
    lastHeardMs,
    keepalive: settingsFrom === "socket" && keepalive?.enabled === true ? keepalive : null,
  });
}

/**
 * Ends connections in the kernel: the program that holds one gets ECONNABORTED, its peer a reset. Exactly those that were listed:
 * one that has taken over the ends of another since is left alone.
 *
 * @example
 * using ending = new Ending(candidates({ filter }).connections);
 * await ending.run();
 */
export class Ending implements Disposable {
  readonly #candidates: readonly Candidate[];
  readonly #silentForMs: number | null;
  readonly #destroyers = new Map<string, SocketDestroyer>();

  /**
   * @param silentForMs asked for anew when it comes to ending them.
   * @throws DeadpeerError `permission-denied`, `feature-missing` where none of them could be ended.
   */
  constructor(candidates: readonly Candidate[], silentForMs: number | null = null) {
    this.#candidates = candidates;
    this.#silentForMs = silentForMs;
    try {
      for (const { namespace } of candidates) {
        const key = keyOf(namespace);
        if (!this.#destroyers.has(key))
          this.#destroyers.set(key, SocketDestroyer.open(namespace ?? undefined));
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * @throws DeadpeerError `aborted`, with how many have been ended by then.
   */
  async run(signal?: AbortSignal): Promise<EndedConnection[]> {
    const silent = this.#stillSilent();
    const ended: EndedConnection[] = [];
    for (const candidate of this.#candidates) {
      if (silent?.has(candidate.connection.cookie) === false)
        ended.push({ ...candidate, outcome: "answered", reason: null });
      else ended.push({ ...candidate, ...this.#end(candidate) });
      if (ended.length % letInEvery !== 0) continue;
      await setImmediate();
      if (signal?.aborted === true) throw interrupted(ended, this.#candidates.length);
    }
    return ended;
  }

  #end({ identity, namespace }: Candidate): Pick<EndedConnection, "outcome" | "reason"> {
    try {
      const isEnded = this.#destroyers.get(keyOf(namespace))?.end(identity) === true;
      return { outcome: isEnded ? "ended" : "gone", reason: null };
    } catch (error) {
      if (!(error instanceof DeadpeerError) || error.code !== "value-refused") throw error;
      return { outcome: "refused", reason: error.message };
    }
  }

  /** The cookies of those that still are silent, or no longer there; null: that was not asked for. */
  #stillSilent(): Set<string> | null {
    if (this.#silentForMs === null) return null;
    const silent = new Set(this.#candidates.map(({ connection }) => connection.cookie));
    const states = connectionStates;
    for (const namespace of new Map(
      this.#candidates.map((one) => [keyOf(one.namespace), one.namespace]),
    ).values()) {
      const walk = new HostWalk({
        filter: { ...parseFilter(), states },
        ...(namespace === null ? {} : { namespaces: [namespace] }),
        isWanted: (socket) => silent.has(String(socket.plainCookie)),
      });
      for (const connection of walk) {
        const owed = owedIn(connection, walk);
        if (owed === null || owed.forMs < this.#silentForMs) silent.delete(connection.cookie);
      }
    }
    return silent;
  }

  [Symbol.dispose](): void {
    for (const destroyer of this.#destroyers.values()) destroyer[Symbol.dispose]();
    this.#destroyers.clear();
  }
}

/** So often a signal is let in. */
const letInEvery = 256;

function keyOf(namespace: NetworkNamespace | null): string {
  return namespace?.id ?? "";
}

function interrupted(ended: readonly EndedConnection[], of: number): DeadpeerError {
  const done = ended.filter(({ outcome }) => outcome === "ended").length;
  return new DeadpeerError("aborted", `interrupted: ${done} of ${of} connections were ended`);
}

/**
 * Lists and ends in one step.
 *
 * @throws DeadpeerError as candidates and Ending.
 * @example await killConnections({ filter: parseFilter({ remote: ["10.0.0.9"] }), silentForMs: 600_000 })
 */
export async function killConnections(
  options: KillOptions & { readonly signal?: AbortSignal },
): Promise<EndedConnection[]> {
  using ending = new Ending(candidates(options).connections, options.silentForMs ?? null);
  return await ending.run(options.signal);
}
