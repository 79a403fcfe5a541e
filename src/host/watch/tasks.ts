import {
  processCgroup,
  processName,
  processNamespace,
  processOfThread,
  seesKernelNumbers,
} from "../../kernel/processes.js";

/** A process that was seen doing something. */
export interface SeenProcess {
  readonly pid: number;
  readonly name: string;
  /** The id of the network namespace that it was in, where its sockets were most likely made. */
  readonly namespaceId: string | null;
  readonly cgroup: string | null;
}

/** What stands in place of a name that nobody could look up in time. */
export const goneName = "(gone)";

/** Threads that have ended are remembered for as long as something may still be heard of them. */
const memoryNs = 10_000_000_000;
/** Beyond this many the names are looked up anew. */
const mostKnown = 20_000;

/**
 * Whose the threads are that the kernel's events name. They are looked up when they are first met, since later they may have
 * ended; of a thread that ended at once, its own last event still tells the name.
 */
export class Tasks {
  /** In a PID namespace of its own /proc has other numbers than the kernel's events. */
  readonly #canLookUp = seesKernelNumbers();
  readonly #onMeet: (process: SeenProcess) => void;
  readonly #known = new Map<number, SeenProcess>();
  readonly #ended = new Map<number, { readonly process: SeenProcess; readonly timeNs: number }>();

  /** @param onMeet told of each process, at the first of its threads that is met, and perhaps again. */
  constructor(onMeet: (process: SeenProcess) => void = () => {}) {
    this.#onMeet = onMeet;
  }

  /** Looks a thread up, if that has not been done yet. */
  meet(tid: number): SeenProcess | null {
    const known = this.#known.get(tid);
    if (known !== undefined) return known;
    if (!this.#canLookUp) return null;
    const process = lookUp(tid);
    if (process === null) return null;
    if (this.#known.size >= mostKnown) this.#known.clear();
    this.#known.set(tid, process);
    this.#onMeet(process);
    return process;
  }

  end(tid: number, name: string, timeNs: number): void {
    const process = this.#known.get(tid) ?? { pid: tid, name, namespaceId: null, cgroup: null };
    this.#known.delete(tid);
    // At the end of the map, which is in the order of time.
    this.#ended.delete(tid);
    this.#ended.set(tid, { process, timeNs });
  }

  /** Whose a thread is, or was; null where numbers mean nothing here. */
  whose(tid: number): SeenProcess | null {
    if (!this.#canLookUp) return null;
    return (
      this.#ended.get(tid)?.process ??
      this.meet(tid) ?? { pid: tid, name: goneName, namespaceId: null, cgroup: null }
    );
  }

  forget(nowNs: number): void {
    for (const [tid, { timeNs }] of this.#ended) {
      if (timeNs > nowNs - memoryNs) break;
      this.#ended.delete(tid);
    }
  }
}

function lookUp(tid: number): SeenProcess | null {
  const pid = processOfThread(tid);
  if (pid === null) return null;
  const name = processName(pid);
  return name === "" ? null : { pid, name, namespaceId: namespaceOf(pid), cgroup: processCgroup(pid) };
}

function namespaceOf(pid: number): string | null {
  try {
    return processNamespace(pid);
  } catch {
    return null;
  }
}
