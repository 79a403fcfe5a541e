import { OwnedFd } from "../../kernel/fd.js";
import { readSettings } from "../../kernel/socket-options.js";
import { readTcpInfo } from "../../kernel/tcp-info.js";
import { linuxDefaults } from "../../plan/settings.js";
import type { TcpState } from "../../kernel/tcp-states.js";
import type { Evidence } from "../../verdict/evidence.js";
import { judge, type Verdict, type VerdictState } from "../../verdict/verdict.js";
import { Borrower } from "../borrower.js";
import { type SeenSettings, settingsOfSocket } from "../seen-settings.js";
import { monotonicMs, wallClockAt } from "./clock.js";
import type { ConnectionTable, ListedConnection } from "./connection-table.js";
import { type Closer, type Death, hadFin } from "./death-finder.js";
import type { Ends } from "./ends.js";
import { evidenceOf, type Sees, vanishedEvidence } from "./evidence.js";
import type { LastWord } from "./last-words.js";
import type { ConnectionProcess, Obituary } from "./obituary.js";
import type { Places, WatchedPlace } from "./places.js";
import { type Sample, sampleOf } from "./sample.js";
import type { Suspensions } from "./suspensions.js";
import type { SeenProcess, Tasks } from "./tasks.js";

/** What an obituary leaves behind for filters. */
export interface WrittenObituary {
  readonly obituary: Obituary;
  readonly place: WatchedPlace | null;
  readonly seen: SeenSettings | null;
  /** The cgroup that the socket was made in, and those of the processes. */
  readonly cgroupId: bigint | null;
  readonly cgroups: readonly string[];
}

export interface WriterOptions {
  readonly table: ConnectionTable;
  readonly places: Places;
  readonly tasks: Tasks;
  readonly suspensions: Suspensions;
  readonly sees: Sees;
}

/** Finds what is known of a connection that died, and writes its obituary. */
export class ObituaryWriter {
  readonly #options: WriterOptions;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Which of the listed connections it was that died; null: it was never listed. */
  listedOf(death: Death): ListedConnection | null {
    const { table } = this.#options;
    if (death.cookie !== null) {
      const same = table.withCookie(death.cookie);
      if (same !== undefined) return same;
    }
    // Ends are used again: one that was there before this one was born is another.
    const candidates = table
      .withEnds(death.key)
      .filter(({ livedAtMs }) => death.bornNs === null || livedAtMs > death.bornNs / 1e6 - clockSlackMs);
    if (candidates.length <= 1) return candidates[0] ?? null;
    const namespaces = new Set(this.#actors(death).map(({ namespaceId }) => namespaceId));
    const here = candidates.filter(({ place }) => namespaces.has(place.namespace.id));
    return here.length === 1 ? (here[0] ?? null) : null;
  }

  /** Of a death that the kernel's events told. */
  write(death: Death, listed: ListedConnection | null, word: LastWord | null): WrittenObituary {
    const { sees, suspensions } = this.#options;
    const atMs = death.atNs / 1e6;
    const told = dated(word?.sample ?? null, death);
    const borrowed = told === null && death.errno !== null ? borrow(listed, death) : null;
    const last = borrowed?.sample ?? told;
    const sample = last ?? listed?.sample ?? null;
    const seen = borrowed?.settings ?? listed?.settings ?? null;
    const { evidence, concluded } = evidenceOf(
      death,
      {
        at: wallClockAt(atMs),
        sample,
        settings: seen?.settings ?? null,
        system: (listed?.place ?? word?.place)?.system ?? linuxDefaults,
        nameOf: (closer) => this.#words(closer),
        selfPausedMs: sample === null ? null : suspensions.during(heardAtMs(sample), atMs),
      },
      sees,
    );
    const actors = this.#actors(death);
    const bornMs = death.bornNs === null ? null : death.bornNs / 1e6;
    return this.#compose({
      atMs,
      ends: death,
      state: death.from,
      direction: death.outgoing === null ? null : death.outgoing ? "outgoing" : "incoming",
      bornMs,
      sample,
      finCounted: last === null ? isAfterFin(listed) : hadFin(death),
      seen,
      evidence,
      likely: concluded,
      source: "trace",
      listed,
      place: listed?.place ?? word?.place ?? this.#placeOf(actors),
      actors,
    });
  }

  /** Of one that is not listed any more, and of whose end no event told. */
  writeVanished(
    listed: ListedConnection,
    word: LastWord | null,
    waits: boolean,
    atMs: number,
  ): WrittenObituary {
    const told = word?.sample ?? null;
    return this.#compose({
      atMs,
      ends: listed,
      state: listed.state,
      direction: null,
      bornMs: null,
      sample: told ?? listed.sample,
      finCounted: told === null ? isAfterFin(listed) : listed.state !== "ESTABLISHED",
      seen: listed.settings,
      evidence: vanishedEvidence(listed, told, waits, { at: wallClockAt(atMs), atMs }),
      likely: true,
      source: "list",
      listed,
      place: listed.place,
      actors: [],
    });
  }

  #compose(found: Found): WrittenObituary {
    const { ends, sample, seen, evidence, listed, place, actors } = found;
    const verdict = judge(evidence);
    const { lifetimeMs, lifetimeAtLeast } = lifetime(found);
    return {
      place,
      seen,
      cgroupId: listed?.cgroupId ?? null,
      cgroups: actors.map(({ cgroup }) => cgroup).filter((cgroup) => cgroup !== null),
      obituary: {
        at: new Date(verdict.at).toISOString(),
        netns: place === null ? null : (place.namespace.name ?? place.namespace.path),
        local: ends.local,
        remote: ends.remote,
        state: found.state,
        processes: holders(listed, actors),
        lifetimeMs,
        lifetimeAtLeast,
        bytes: sample === null ? null : bytesOf(sample, found.finCounted),
        verdict: found.likely ? merelyLikely(verdict) : verdict,
        family: ends.local.address.includes(":") ? 6 : 4,
        direction: found.direction,
        keepalive: seen?.keepalive?.enabled === true ? seen.keepalive : null,
        userTimeoutMs: seen?.userTimeoutMs ?? null,
        settingsKnown: seen !== null,
        source: found.source,
      },
    };
  }

  /** Those who were seen acting on it, the one who let go of it first. Who ended it from outside is none of them. */
  #actors(death: Death): SeenProcess[] {
    const { tasks } = this.#options;
    const closer = death.errno === "ECONNABORTED" ? null : death.closedBy;
    return [death.letGoBy?.tid, closer?.tid, death.connectedBy]
      .map((tid) => (tid === null || tid === undefined ? null : tasks.whose(tid)))
      .filter((process) => process !== null);
  }

  #words({ tid }: Closer): string {
    const process = this.#options.tasks.whose(tid);
    return process === null ? "somebody" : `${process.name} (process ${process.pid})`;
  }

  #placeOf(actors: readonly SeenProcess[]): WatchedPlace | null {
    for (const { namespaceId } of actors) {
      const place = namespaceId === null ? undefined : this.#options.places.get(namespaceId);
      if (place !== undefined) return place;
    }
    return null;
  }
}

/** All that was found, before it is put into words. */
interface Found {
  readonly atMs: number;
  readonly ends: Pick<Ends, "local" | "remote">;
  readonly state: TcpState;
  readonly direction: Obituary["direction"];
  readonly bornMs: number | null;
  readonly sample: Sample | null;
  /** The peer's FIN is among the bytes received. */
  readonly finCounted: boolean;
  readonly seen: SeenSettings | null;
  readonly evidence: Evidence;
  readonly likely: boolean;
  readonly source: Obituary["source"];
  readonly listed: ListedConnection | null;
  readonly place: WatchedPlace | null;
  readonly actors: readonly SeenProcess[];
}

/** Figures count whole milliseconds, from clocks of their own. */
const clockSlackMs = 100;

/** The kernel's last word speaks of the moment in which the socket was freed, and was read a little later. */
function dated(sample: Sample | null, { destroyedNs }: Death): Sample | null {
  return sample === null || destroyedNs === null ? sample : { ...sample, atMs: destroyedNs / 1e6 };
}

/** A program that has not let go yet still holds the socket, with all that it died of. */
function borrow(
  listed: ListedConnection | null,
  { destroyedNs }: Death,
): { readonly sample: Sample; readonly settings: SeenSettings } | null {
  if (listed === null || destroyedNs !== null) return null;
  using borrower = new Borrower();
  for (const { pid, fd } of listed.holders ?? []) {
    const socket = borrower.borrow(pid, fd, BigInt(listed.cookie));
    if (!(socket instanceof OwnedFd)) continue;
    try {
      return {
        sample: sampleOf(readTcpInfo(socket.fd), monotonicMs()),
        settings: settingsOfSocket(readSettings(socket.fd)),
      };
    } catch {
      // MPTCP; what the list says must do.
    } finally {
      socket.close();
    }
  }
  return null;
}

function heardAtMs({ atMs, lastAckRecvMs, lastDataRecvMs }: Sample): number {
  return atMs - Math.min(lastAckRecvMs, lastDataRecvMs);
}

function lifetime({ atMs, bornMs, listed }: Found): Pick<Obituary, "lifetimeMs" | "lifetimeAtLeast"> {
  if (bornMs !== null) return { lifetimeMs: Math.round(atMs - bornMs), lifetimeAtLeast: false };
  if (listed === null) return { lifetimeMs: null, lifetimeAtLeast: false };
  return { lifetimeMs: Math.max(0, Math.round(atMs - listed.livedAtMs)), lifetimeAtLeast: true };
}

function isAfterFin(listed: ListedConnection | null): boolean {
  return listed !== null && ["CLOSE_WAIT", "LAST_ACK", "CLOSING"].includes(listed.state);
}

function bytesOf({ bytesSent, bytesReceived }: Sample, finCounted: boolean): Obituary["bytes"] {
  if (bytesSent === null || bytesReceived === null) return null;
  return { sent: bytesSent, received: Math.max(0, bytesReceived - (finCounted ? 1 : 0)) };
}

/** Who held it by the kernel's own account; if that was never asked, who was seen with it. */
function holders(listed: ListedConnection | null, [actor]: readonly SeenProcess[]): ConnectionProcess[] {
  if (listed?.holders != null && listed.holders.length > 0)
    return listed.holders.map(({ pid, name, fd }) => ({ pid, name, fd }));
  return actor === undefined ? [] : [{ pid: actor.pid, name: actor.name, fd: null }];
}

/** What else it could be, where the end itself was not seen, or not all of it. */
const alternatives: Readonly<Record<VerdictState, readonly VerdictState[]>> = {
  closed: ["local", "reset"],
  reset: ["silent"],
  silent: ["reset", "unreachable"],
  unreachable: ["silent"],
  unresponsive: ["silent"],
  evicted: ["local"],
  local: ["closed", "reset"],
};

function merelyLikely(verdict: Verdict): Verdict {
  const { state, couldAlsoBe } = verdict;
  return {
    ...verdict,
    certainty: "likely",
    couldAlsoBe: [...new Set([...couldAlsoBe, ...alternatives[state]])],
  };
}
