import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../../support/until.js";
import { type Accounts, settleAccounts } from "./accounts.js";
import type { ServerState } from "./ledger.js";
import { Program } from "./program.js";

export interface MixedLoadOptions {
  readonly sessions: number;
  /** About so long each client follows its script. */
  readonly seconds: number;
  readonly parking: boolean;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

export interface MixedLoadResult extends Accounts {
  readonly parking: boolean;
  readonly mostParked: number;
  /** The server's, in the kernel's count: before anybody came, with everybody there and quiet, and after everybody had gone. */
  readonly descriptors: { readonly empty: Count; readonly settled: Count; readonly after: Count };
  /** Parked, with everybody there and quiet. */
  readonly parkedSettled: number;
  readonly refused: number;
  /** Connections that ended before they were greeted, and were made again. */
  readonly retries: number;
  /** Status with which the server's process ended by itself. */
  readonly status: number | null;
}

type Count = ReturnType<Program["descriptors"]>;

/** A process may open 20 000 files. */
const mostInProcess = 2_500;
/** All clients together do about so many things a second; and a quiet machine would bear many times as much. */
const actionsPerSecond = 1_250;
const firstVictim = 1_000_000;
const lives = 1_000;
const hosts = ["127.0.0.1", "::1"];

/**
 * A server in one process and its clients in others, some of which are killed again and again: beats, messages in both directions,
 * parts of messages, ends of every kind. At the end what one side knows is held against what the other knows.
 *
 * @throws Error when a client finds something broken, or nothing comes of a wait.
 */
export async function mixedLoad(options: MixedLoadOptions): Promise<MixedLoadResult> {
  const { sessions, seconds, parking, seed, log = () => {} } = options;
  const paceMs = Math.max(200, (sessions / actionsPerSecond) * 1_000);
  // A tenth of it is an action's own time, and quiet ones last longer.
  const actions = Math.ceil((seconds * 1_000) / (1.6 * paceMs));
  // A machine with much else to do stands still for a long time now and then, and nobody's session is to be lost by that.
  const graceMs = Math.max(6_000, 15 * paceMs);
  const idleMs = Math.max(2_000, 3 * paceMs);
  const serverOptions = {
    parking: parking ? { after: paceMs / 2 } : false,
    grace: graceMs,
    detect: { idle: idleMs, interval: Math.max(1_000, 1.5 * paceMs), count: 4 },
    handshake: "1m",
    beatsPerSecond: 1_000,
    laterMs: 4 * paceMs,
  };
  await using stack = new Started();
  const server = stack.use(new Program("server.js", [JSON.stringify(serverOptions)]));
  const { port } = await server.next("listening");
  const empty = server.descriptors();
  let hostsUsed = 0;
  const clients = (from: number, count: number): Program =>
    stack.use(
      new Program(
        "clients.js",
        [hosts[hostsUsed++ % hosts.length] ?? "", port, from, count, seed, actions, paceMs, idleMs / 4].map(
          String,
        ),
      ),
    );
  const processes = Math.max(2, Math.ceil(sessions / mostInProcess));
  const each = Math.ceil(sessions / processes);
  const programs = Array.from({ length: processes }, (_, n) =>
    clients(n * each, Math.min(each, sessions - n * each)),
  );
  await Promise.all(programs.map((program) => program.next("started")));
  log(`${sessions} clients in ${processes} processes are there; ${actions} actions each`);

  const stop = new AbortController();
  const killing = killAgainAndAgain(stop.signal);
  let report = 0;
  const state = async (): Promise<ServerState> => (await server.ask({ do: "state" }, "state")).state;
  const reporting = setInterval(async () => {
    const { sessions: there, parked } = await state();
    log(`${++report * 10} s: ${there} sessions, ${parked} parked, ${server.descriptors().all} descriptors`);
  }, 10_000);
  try {
    await Promise.all(programs.map((program) => program.next("settled")));
  } finally {
    clearInterval(reporting);
    stop.abort();
  }
  await killing;

  // With everybody there and quiet, a session is one socket, parked or not.
  await holds(async () => {
    const { sessions: there, parked } = await state();
    return there === sessions && (!parking || parked === sessions);
  });
  await until(() => server.descriptors().sockets === empty.sockets + sessions, 600_000);
  const settled = server.descriptors();
  const { parked: parkedSettled } = await state();
  log(`everybody is quiet: ${parkedSettled} parked, ${settled.sockets} sockets`);

  for (const program of programs) program.tell({ do: "finish" });
  await Promise.all(programs.map((program) => program.next("settled")));
  await holds(async () => (await state()).sessions === 0);
  await until(() => server.descriptors().sockets === empty.sockets, 600_000);
  const after = server.descriptors();
  const { mostParked, refused } = await state();
  const known = await Promise.all(
    programs.map((program) => program.ask({ do: "entries" }, "client-entries")),
  );
  const { entries } = await server.ask({ do: "entries" }, "server-entries");
  await server.ask({ do: "close" }, "settled");
  const status = await server.release();
  for (const program of programs) program.tell({ do: "close" });
  const accounts = settleAccounts(
    known.flatMap((one) => one.entries),
    entries,
    (nonce) => nonce >= firstVictim * lives,
  );
  return {
    parking,
    ...accounts,
    mostParked,
    descriptors: { empty, settled, after },
    parkedSettled,
    refused: refused.length,
    retries: known.reduce((sum, { retries }) => sum + retries, 0),
    status,
  };

  /** Clients whose process is killed in the middle of whatever they do, and others in their place. */
  async function killAgainAndAgain(signal: AbortSignal): Promise<void> {
    const count = Math.ceil(sessions / 10);
    for (let from = firstVictim; !signal.aborted; from += count) {
      const victims = clients(from, count);
      await victims.next("started");
      const lifeMs = Math.max(2_000, seconds * 100);
      await sleep(lifeMs, undefined, { signal }).catch(() => {});
      await victims.kill();
    }
  }
}

/** As `until`, for what has to be asked for. */
async function holds(asks: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + 600_000;
  while (!(await asks())) {
    if (performance.now() > giveUpAt) throw new Error(`it did not come about: ${asks.toString()}`);
    await sleep(50);
  }
}

/** Ends what was started, last first. */
class Started implements AsyncDisposable {
  readonly #things: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(thing: T): T {
    this.#things.push(thing);
    return thing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const thing of this.#things.toReversed()) await thing[Symbol.asyncDispose]();
  }
}
