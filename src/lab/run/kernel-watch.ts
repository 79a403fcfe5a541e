import { listSockets } from "../../kernel/sock-diag.js";
import type { Host } from "../host.js";
import { watchedStates } from "../scenario/schema.js";
import { endpointText, type KernelEvent, type SocketView } from "./timeline.js";

const periodMs = 100;
/** Closed connections by the thousand are counted, not told one by one. */
const mostTold = 50;

interface Sample {
  readonly atMs: number;
  readonly sockets: readonly SocketView[];
}

/** Looks ten times a second at the sockets of a run's hosts, and remembers. */
export class KernelWatch implements Disposable {
  readonly #hosts: readonly Host[];
  readonly #history = new Map<string, Sample[]>();
  readonly #events: KernelEvent[] = [];
  readonly #timer: NodeJS.Timeout;
  #startedAt = 0;
  #dueAt = 0;
  #lateMs = 0;
  #told = 0;

  constructor(hosts: readonly Host[]) {
    this.#hosts = hosts;
    this.#timer = setInterval(() => this.#tick(), periodMs);
  }

  /** Time 0. */
  begin(startedAt: number): void {
    this.#startedAt = startedAt;
    this.#dueAt = performance.now() + periodMs;
    this.#lateMs = 0;
    this.#tick();
  }

  get events(): readonly KernelEvent[] {
    return this.#events;
  }

  /** How late this process was given the processor, at worst: what programs say may be late by as much. */
  get lateMs(): number {
    return Math.round(this.#lateMs);
  }

  /** What was seen on a host throughout a span of time: the last look before it, and all within. */
  during(host: string, fromMs: number, toMs: number): readonly Sample[] {
    const samples = this.#history.get(host) ?? [];
    const before = samples.findLast(({ atMs }) => atMs <= fromMs);
    const within = samples.filter(({ atMs }) => atMs > fromMs && atMs <= toMs);
    return before === undefined ? within : [before, ...within];
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    if (this.#startedAt === 0) return;
    const now = performance.now();
    this.#lateMs = Math.max(this.#lateMs, now - this.#dueAt);
    this.#dueAt = now + periodMs;
    for (const host of this.#hosts) this.#look(host);
  }

  #look(host: Host): void {
    const atMs = Date.now() - this.#startedAt;
    const sockets = host.crashed ? [] : viewSockets(host);
    const samples = this.#history.get(host.role) ?? [];
    this.#history.set(host.role, samples);
    const before = samples.at(-1)?.sockets ?? [];
    if (samples.length > 0 && same(before, sockets)) return;
    samples.push({ atMs, sockets });
    this.#tell(host, atMs, before, sockets);
  }

  #tell(host: Host, atMs: number, before: readonly SocketView[], now: readonly SocketView[]): void {
    const known = new Map(before.map((socket) => [socket.cookie, socket]));
    for (const socket of now) {
      const old = known.get(socket.cookie);
      known.delete(socket.cookie);
      if (old === undefined || old.state !== socket.state || old.timer !== socket.timer)
        this.#push({ atMs, source: "kernel", host: host.role, gone: false, ...socket });
    }
    for (const socket of known.values())
      this.#push({ atMs, source: "kernel", host: host.role, gone: true, ...socket });
  }

  #push(event: KernelEvent): void {
    if (++this.#told <= mostTold) this.#events.push(event);
  }
}

function viewSockets(host: Host): SocketView[] {
  return listSockets({ states: watchedStates }, host.namespace).map((socket) => ({
    cookie: String(socket.cookie),
    connection: null,
    local: endpointText(socket.local),
    remote: endpointText(socket.remote),
    state: socket.state,
    timer: socket.timer.kind,
    sendQueue: socket.sendQueue,
    receiveQueue: socket.receiveQueue,
  }));
}

function same(one: readonly SocketView[], other: readonly SocketView[]): boolean {
  return (
    one.length === other.length &&
    one.every((socket, index) => {
      const twin = other[index] as SocketView;
      return (
        socket.cookie === twin.cookie &&
        socket.state === twin.state &&
        socket.timer === twin.timer &&
        socket.sendQueue === twin.sendQueue
      );
    })
  );
}
