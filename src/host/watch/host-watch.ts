import { availableParallelism } from "node:os";
import { DeadpeerError } from "../../errors.js";
import type { VerdictState } from "../../verdict/finding.js";
import { type ConnectionFilter, parseFilter } from "../filter.js";
import { checkProcesses } from "../survey.js";
import { monotonicMs } from "./clock.js";
import { ListWatch } from "./list-watch.js";
import { namespaceTest, obituaryTest } from "./matching.js";
import type { Obituary } from "./obituary.js";
import type { WrittenObituary } from "./obituary-writer.js";
import { Places } from "./places.js";
import { sweepWatches } from "./sweep.js";
import { type TraceOptions, TraceSource } from "./trace-source.js";
import { TraceWatch } from "./trace-watch.js";

export interface WatchOptions {
  /** Which connections; all, in every network namespace, by default. */
  readonly filter?: ConnectionFilter;
  /** Only verdicts of these states; all by default. */
  readonly only?: readonly VerdictState[];
  /** Ends the watch; what has died by then is still told. */
  readonly signal?: AbortSignal;
  /** How much each processor may write before it has been read: by default 64 MiB divided by the processors, at most 8 MiB each. */
  readonly kibPerCpu?: number;
  /**
   * Trace events (`tcp/tcp_send_reset`) and fields of them (`tcp/tcp_send_reset.reason`) to do without, to see what an older kernel
   * would tell. Without `sock/inet_sock_set_state` there are only the lists.
   */
  readonly without?: readonly string[];
}

/** What could be seen so far, and what could not. */
export interface WatchSight {
  /** `trace`: every death is told by the kernel's events. `list`: the kernel's lists are compared, and short lives are missed. */
  readonly source: "trace" | "list";
  /** How many connections are known to live, and in how many network namespaces. */
  readonly connections: number;
  readonly namespaces: number;
  /** Events that came faster than they were read. Deaths among them are missing, or are told from the lists. */
  readonly lostEvents: number;
  /** How often last words on sockets were lost: figures of some deaths are those of the last look at the lists. */
  readonly lostLastWords: number;
  /** Obituaries that were thrown away because nobody took them in time. */
  readonly dropped: number;
  /** Namespaces that could not be looked into. */
  readonly unseenNamespaces: number;
  /** What else is missing and what would bring it, one line each. */
  readonly gaps: readonly string[];
}

/** How often what the kernel has written is read. */
const periodMs = 50;

/** As long as nobody takes them, so many obituaries are kept. */
const mostWaiting = 100_000;

/**
 * Tells of every TCP connection that dies on this host from now on, with a verdict: who it was, why it ended, and how long that had
 * gone unnoticed. As root it takes part in the kernel's own events, through a trace instance of its own; otherwise it compares the
 * kernel's lists, and its verdicts are no more than likely. Nothing is asked of, or changed at, any connection.
 *
 * @throws DeadpeerError `bad-filter` or `no-namespace` for what cannot match; `feature-missing` without sock_diag;
 *   `ffi-unavailable`, `platform-unsupported`.
 * @example
 * for await (const { remote, verdict } of watchHost({ only: ["silent", "unreachable"], signal })) {
 *   console.log(`${remote.address}: ${verdict.sentence}`);
 * }
 */
export function watchHost(options: WatchOptions = {}): HostWatch {
  return new HostWatch(options);
}

/** A watch over this host's connections: iterate over it once, and dispose of it or let the iteration end. */
export class HostWatch implements AsyncIterable<Obituary>, Disposable {
  readonly #matches: (written: WrittenObituary) => boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #places: Places;
  readonly #watch: TraceWatch | ListWatch;
  readonly #noTrace: string | null;
  readonly #written: Obituary[] = [];
  readonly #closeAtExit = (): void => this.close();
  #timer: NodeJS.Timeout | null;
  #wake: (() => void) | null = null;
  #dropped = 0;
  #failure: unknown = null;
  #ended = false;

  constructor({
    filter = parseFilter(),
    only = [],
    signal,
    kibPerCpu = defaultKib(),
    without = [],
  }: WatchOptions) {
    checkProcesses(filter);
    this.#matches = obituaryTest(filter, only);
    this.#signal = signal;
    this.#places = new Places(namespaceTest(filter));
    const source = openTrace({ kibPerCpu, without });
    this.#noTrace =
      source instanceof TraceSource
        ? null
        : `${source.message}; without them the kernel's lists are compared: short lives are missed, and verdicts are no more than likely`;
    try {
      this.#watch =
        source instanceof TraceSource
          ? new TraceWatch(source, this.#places, monotonicMs())
          : new ListWatch(this.#places, monotonicMs());
    } catch (error) {
      if (source instanceof TraceSource) source.close();
      this.#places[Symbol.dispose]();
      throw error;
    }
    this.#timer = setTimeout(() => this.#step(), periodMs);
    signal?.addEventListener("abort", this.#end, { once: true });
    // A process that ends in the middle takes the instance along, as long as it ends by itself.
    process.once("exit", this.#closeAtExit);
    if (signal?.aborted === true) this.#end();
  }

  get sight(): WatchSight {
    return {
      source: this.#noTrace === null ? "trace" : "list",
      connections: this.#watch.listed,
      namespaces: this.#places.size,
      lostEvents: this.#watch.lostEvents,
      lostLastWords: this.#watch.lostWords,
      dropped: this.#dropped,
      unseenNamespaces: this.#places.unseen,
      gaps: this.#noTrace === null ? this.#watch.gaps : [this.#noTrace, ...this.#watch.gaps],
    };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Obituary, void, undefined> {
    try {
      for (;;) {
        const next = this.#written.splice(0);
        yield* next;
        if (this.#failure !== null) throw this.#failure;
        if (this.#written.length > 0) continue;
        if (this.#ended) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      this.close();
    }
  }

  /** Ends the watch at once, and takes away what it had made. Doing it twice does no harm. */
  close(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#ended = true;
    this.#signal?.removeEventListener("abort", this.#end);
    process.off("exit", this.#closeAtExit);
    this.#watch.close();
    this.#places[Symbol.dispose]();
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  readonly #end = (): void => {
    if (this.#timer === null) return;
    this.#keep(() => this.#watch.end(monotonicMs()));
    this.close();
  };

  #step(): void {
    this.#keep(() => this.#watch.step(monotonicMs()));
    if (this.#failure !== null) this.close();
    else this.#timer = setTimeout(() => this.#step(), periodMs);
  }

  #keep(look: () => readonly WrittenObituary[]): void {
    try {
      for (const written of look()) {
        if (!this.#matches(written)) continue;
        if (this.#written.length < mostWaiting) this.#written.push(written.obituary);
        else this.#dropped++;
      }
    } catch (error) {
      this.#failure = error;
    }
    if (this.#written.length > 0) this.#wake?.();
  }
}

/** Why there are no events, if there are none. */
function openTrace(options: TraceOptions): TraceSource | DeadpeerError {
  sweepWatches();
  try {
    return TraceSource.open(options);
  } catch (error) {
    // Without these there are no lists either.
    const hopeless = ["ffi-unavailable", "platform-unsupported"];
    if (!(error instanceof DeadpeerError) || hopeless.includes(error.code)) throw error;
    return error;
  }
}

const mostKibPerCpu = 8_192;
const kibInAll = 65_536;

/** Enough for a second in which a processor does nothing but end connections; less where there are many processors. */
function defaultKib(): number {
  return Math.min(mostKibPerCpu, Math.max(1_024, Math.floor(kibInAll / availableParallelism())));
}
