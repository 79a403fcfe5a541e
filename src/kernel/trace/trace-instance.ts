import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { DeadpeerError } from "../../errors.js";
import { errnoName } from "../errno.js";
import { lastErrno, libc, syscallError } from "../libc.js";
import { type EventFormat, parseEventFormat } from "./event-format.js";
import { type PageLayout, parsePageLayout, walkPage } from "./ring-page.js";
import type { Tracefs } from "./tracefs.js";

/** Told of a record: when (nanoseconds of CLOCK_MONOTONIC), and where it lies. The bytes are used again afterwards. */
export type TraceVisitor = (timeNs: number, bytes: Buffer, at: number) => void;

/** What a record may still lack when it is looked for, though its time is past: an interrupt between time stamp and commit. */
const settlingNs = 1_000_000;

interface CpuBuffer {
  readonly cpu: string;
  readonly fd: number;
}

/**
 * A trace buffer of our own beside everybody else's, with the events that we ask for. Disposing of it removes it. If the process
 * is killed the instance stays behind by name, but its memory and its records go at once.
 *
 * @example
 * using instance = TraceInstance.make(tracefs, newOwnedName("watch"), 4096);
 * instance.enable("tcp/tcp_receive_reset");
 * instance.poll((timeNs, bytes, at) => print(timeNs, bytes.readUInt16LE(at)));
 */
export class TraceInstance implements Disposable {
  readonly #path: string;
  readonly #layout: PageLayout;
  readonly #page: Buffer;
  readonly #cpus: CpuBuffer[] = [];
  /** While it is open the buffer keeps its size: the kernel shrinks it when its holder ends, however that happens. */
  #holder: number | null = null;
  #lost = 0;
  #mayHaveLost = false;

  private constructor(path: string, layout: PageLayout) {
    this.#path = path;
    this.#layout = layout;
    this.#page = Buffer.allocUnsafeSlow(layout.bytes);
  }

  /**
   * @param kibPerCpu how much each processor may write before it has been read.
   * @throws DeadpeerError `permission-denied`, or `feature-missing` for a buffer that cannot be read or that there is no memory for.
   */
  static make(tracefs: Tracefs, name: string, kibPerCpu: number): TraceInstance {
    const events = `${tracefs.path}/events`;
    const layout = fileOperation("read the layout of the trace buffer", () =>
      parsePageLayout(
        readFileSync(`${events}/header_page`, "utf8"),
        readFileSync(`${events}/header_event`, "utf8"),
      ),
    );
    const path = `${tracefs.path}/instances/${name}`;
    fileOperation("make a trace instance", () => mkdirSync(path));
    const instance = new TraceInstance(path, layout);
    try {
      instance.#open(kibPerCpu);
      return instance;
    } catch (error) {
      instance.close();
      throw error;
    }
  }

  #open(kibPerCpu: number): void {
    fileOperation("set up a trace instance", () => {
      // Comparable between processors, and with process.hrtime().
      this.#write("trace_clock", "mono");
      this.#write("trace_options", "disable_on_free");
      this.#write("buffer_size_kb", String(kibPerCpu));
      this.#holder = openSync(`${this.#path}/free_buffer`, "w");
      for (const cpu of readdirSync(`${this.#path}/per_cpu`)) {
        const file = `${this.#path}/per_cpu/${cpu}/trace_pipe_raw`;
        this.#cpus.push({ cpu, fd: openSync(file, constants.O_RDONLY | constants.O_NONBLOCK) });
      }
    });
  }

  /**
   * What an event looks like here; null if this kernel has none of that name.
   *
   * @param event `system/name`, e.g. `tcp/tcp_send_reset`.
   */
  format(event: string): EventFormat | null {
    const file = `${this.#path}/events/${event}/format`;
    if (!existsSync(file)) return null;
    return parseEventFormat(fileOperation(`read the format of ${event}`, () => readFileSync(file, "utf8")));
  }

  /**
   * Lets the kernel write an event from now on.
   *
   * @param filter what its fields must be, in the words of the kernel's event filters; fields must be those of the format.
   */
  enable(event: string, filter?: string): void {
    fileOperation(`enable ${event}`, () => {
      if (filter !== undefined) this.#write(`events/${event}/filter`, filter);
      this.#write(`events/${event}/enable`, "1");
    });
  }

  /**
   * Visits all records that were written since the last time, of one processor after the other, each one's in the order of time.
   *
   * @returns up to when they are complete, in nanoseconds of CLOCK_MONOTONIC: what comes later may be older than what has been
   *   visited, but not older than this.
   */
  poll(visit: TraceVisitor): number {
    const page = this.#page;
    const c = libc();
    let completeNs = Number(process.hrtime.bigint()) - settlingNs;
    for (const { fd } of this.#cpus) {
      let lastNs = 0;
      const take = (timeNs: number, at: number): void => {
        lastNs = timeNs;
        visit(timeNs, page, at);
      };
      for (let pages = 0; ; pages++) {
        // Whoever writes faster than this reads would keep it for ever.
        if (pages === mostPages) {
          completeNs = Math.min(completeNs, lastNs);
          break;
        }
        const length = c.read(fd, page, page.length);
        if (length < 0) {
          const errno = lastErrno();
          const name = errnoName(errno);
          if (name === "EINTR") continue;
          if (name === "EAGAIN") break;
          throw syscallError(errno, "read(trace_pipe_raw)");
        }
        if (length === 0) break;
        if (walkPage(page, length, this.#layout, take) !== 0) this.#mayHaveLost = true;
      }
    }
    if (this.#mayHaveLost) this.countLost();
    return completeNs;
  }

  /** How many records the kernel had to throw away so far because nobody had read them in time. */
  get lost(): number {
    return this.#lost;
  }

  /** Asks the kernel's own count, which also knows what was lost at the very end. */
  countLost(): number {
    this.#mayHaveLost = false;
    let lost = 0;
    for (const { cpu } of this.#cpus) {
      const stats = readFileSync(`${this.#path}/per_cpu/${cpu}/stats`, "utf8");
      for (const [, count] of stats.matchAll(/^(?:overrun|commit overrun|dropped events): (\d+)$/gm))
        lost += Number(count);
    }
    this.#lost = lost;
    return lost;
  }

  close(): void {
    for (const { fd } of this.#cpus.splice(0)) closeSync(fd);
    if (this.#holder !== null) closeSync(this.#holder);
    this.#holder = null;
    removeInstance(this.#path);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #write(file: string, text: string): void {
    writeFileSync(`${this.#path}/${file}`, text, { flag: "r+" });
  }
}

/** Between two looks at the clock: some 200 000 records of one processor. */
const mostPages = 4_096;

/**
 * Removes an instance by its folder.
 *
 * @returns false if it is still there: somebody has one of its files open.
 */
export function removeInstance(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT";
  }
}

function fileOperation<T>(what: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    if (error instanceof DeadpeerError) throw error;
    const errno = (error as NodeJS.ErrnoException).code ?? "EIO";
    const denied = errno === "EACCES" || errno === "EPERM" || errno === "EROFS";
    throw new DeadpeerError(
      denied ? "permission-denied" : "feature-missing",
      denied
        ? `cannot ${what}: that needs root, and a kernel that is not locked down`
        : `cannot ${what} (${errno})`,
      { operation: what, errno, cause: error },
    );
  }
}
