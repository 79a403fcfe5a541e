import { DeadpeerError } from "../../errors.js";
import { AddressTexts } from "../../kernel/diag-socket.js";
import { newOwnedName } from "../../kernel/owned-names.js";
import type { EventFormat } from "../../kernel/trace/event-format.js";
import { Tracefs } from "../../kernel/trace/tracefs.js";
import { TraceInstance } from "../../kernel/trace/trace-instance.js";
import type { Sees } from "./evidence.js";
import {
  type Decoder,
  destructions,
  errorReports,
  exits,
  resetsReceived,
  resetsSent,
  stateChanges,
  type TraceEvent,
  type WantedEvent,
} from "./trace-events.js";

/** What our trace instances are called, between `dp-` and the process number. */
export const instanceKind = "watch";

export interface TraceOptions {
  /** How much each processor may write before it has been read. */
  readonly kibPerCpu: number;
  /** Events (`tcp/tcp_send_reset`) and fields (`tcp/tcp_send_reset.reason`) to do without, as on an older kernel. */
  readonly without: readonly string[];
}

/**
 * The kernel's events about connections, of all processors, in the order of time. Disposing of it takes its trace instance away.
 *
 * @example for (const event of source.read().events) finder.take(event);
 */
export class TraceSource implements Disposable {
  /** What this kernel cannot tell, for people. */
  readonly gaps: readonly string[];
  /** What this kernel can tell. */
  readonly sees: Sees;
  readonly #tracefs: Tracefs;
  readonly #instance: TraceInstance;
  readonly #decoders: ReadonlyMap<number, Decoder>;
  /** Read, but perhaps not the oldest: another processor's buffer was read before. */
  #early: TraceEvent[] = [];

  private constructor(tracefs: Tracefs, instance: TraceInstance, without: readonly string[]) {
    this.#tracefs = tracefs;
    this.#instance = instance;
    const decoders = new Map<number, Decoder>();
    const enable = (wanted: WantedEvent): boolean => enableEvent(instance, wanted, without, decoders);
    if (!enable(stateChanges))
      throw new DeadpeerError(
        "feature-missing",
        "this kernel does not trace the states of TCP sockets (sock/inet_sock_set_state); Linux 4.16 and later do",
      );
    this.sees = {
      errors: enable(errorReports),
      resetsReceived: enable(resetsReceived),
      resetsSent: enable(resetsSent),
    };
    enable(destructions);
    enable(exits);
    this.gaps = gapsOf(this.sees);
    this.#decoders = decoders;
  }

  /**
   * @throws DeadpeerError `permission-denied`, `feature-missing`, `ffi-unavailable`, `platform-unsupported`: there will be no
   *   events, for the reason that the message gives.
   */
  static open({ kibPerCpu, without }: TraceOptions): TraceSource {
    const tracefs = Tracefs.open();
    let instance: TraceInstance | null = null;
    try {
      instance = TraceInstance.make(tracefs, newOwnedName(instanceKind), kibPerCpu);
      return new TraceSource(tracefs, instance, without);
    } catch (error) {
      instance?.close();
      tracefs.close();
      throw error;
    }
  }

  /** Events that were lost because they came faster than they were read. */
  get lost(): number {
    return this.#instance.lost;
  }

  /** Asks the kernel's own count once more. */
  countLost(): number {
    return this.#instance.countLost();
  }

  /**
   * What has happened since the last time.
   *
   * @returns the events up to a moment (CLOCK_MONOTONIC) before which there will be no more.
   */
  read(): { readonly events: readonly TraceEvent[]; readonly completeNs: number } {
    const texts = new AddressTexts();
    const read = this.#early;
    const decoders = this.#decoders;
    const completeNs = this.#instance.poll((timeNs, bytes, at) => {
      const event = decoders.get(bytes.readUInt16LE(at))?.(timeNs, bytes, at, texts) ?? null;
      if (event !== null) read.push(event);
    });
    // Stable, and quick for what is made of a few sorted runs.
    read.sort((one, other) => one.timeNs - other.timeNs);
    let early = read.length;
    while (early > 0 && (read[early - 1] as TraceEvent).timeNs > completeNs) early--;
    this.#early = read.slice(early);
    read.length = early;
    return { events: read, completeNs };
  }

  close(): void {
    this.#instance.close();
    this.#tracefs.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** @returns false: this kernel has no such event, or not with what is needed of it. */
function enableEvent(
  instance: TraceInstance,
  { event, filter, decoder }: WantedEvent,
  without: readonly string[],
  decoders: Map<number, Decoder>,
): boolean {
  const format = without.includes(event) ? null : lacking(instance.format(event), event, without);
  const decode = format === null ? null : decoder(format);
  if (format === null || decode === null) return false;
  decoders.set(format.id, decode);
  try {
    instance.enable(event, filter);
  } catch (error) {
    // An older kernel may not know one of the filter's fields: then it writes more than is needed.
    if (filter === undefined || !(error instanceof DeadpeerError)) throw error;
    instance.enable(event);
  }
  return true;
}

function lacking(format: EventFormat | null, event: string, without: readonly string[]): EventFormat | null {
  if (format === null) return null;
  const fields = [...format.fields].filter(([field]) => !without.includes(`${event}.${field}`));
  return { ...format, fields: new Map(fields) };
}

function gapsOf({ errors, resetsReceived, resetsSent }: Sees): string[] {
  const gaps: string[] = [];
  if (!errors)
    gaps.push(
      "this kernel does not trace the errors of sockets (Linux 5.14 and later do): whether a router had a say in a timeout is not known",
    );
  if (!resetsReceived)
    gaps.push("this kernel does not trace RSTs that arrive: a reset may be taken for something else");
  if (!resetsSent)
    gaps.push(
      "this kernel does not trace RSTs that are sent: keepalive's timeouts are told by figures alone",
    );
  return gaps;
}
