import type { CaptureVerdict, Explanation, FlowReport } from "../../capture/index.js";
import { endpointText, type WireEvent } from "./timeline.js";
import type { WireCapture } from "./wire.js";

export interface Names {
  /** Host names by address. */
  readonly hosts: ReadonlyMap<string, string>;
  /** Connection names by the endpoint of the one who opened it. */
  readonly connections: ReadonlyMap<string, string>;
  /** Hosts whose wire the scenario looks at; that of the others is there for verdicts. */
  readonly shown: ReadonlySet<string>;
}

/** A verdict is about the other side of whoever noticed. */
export interface WireEnding {
  readonly verdict: CaptureVerdict;
  readonly noticedHere: boolean;
}

interface Wire {
  readonly host: string;
  readonly explanation: Explanation;
}

/** What the captures of a run show, in the scenario's names. */
export class Wires {
  readonly connections: ReadonlyMap<string, string>;
  readonly events: readonly WireEvent[];
  readonly #wires: readonly Wire[];
  readonly #byEnds = new Map<string, FlowReport>();
  readonly #hosts: ReadonlyMap<string, string>;

  private constructor(wires: readonly Wire[], startedAt: number, names: Names) {
    this.#wires = wires;
    this.#hosts = names.hosts;
    for (const { host, explanation } of wires)
      for (const flow of explanation.flows) {
        const key = endsKey(host, endpointText(flow.a), endpointText(flow.b));
        // Of those that had the same ports one after the other, the first.
        if (!this.#byEnds.has(key)) this.#byEnds.set(key, flow);
      }
    this.connections = names.connections;
    this.events = wires
      .filter(({ host }) => names.shown.has(host))
      .flatMap((wire) => this.#eventsOf(wire, startedAt))
      .sort((a, b) => a.atMs - b.atMs);
  }

  static async read(captures: readonly WireCapture[], startedAt: number, names: Names): Promise<Wires> {
    const wires = await Promise.all(
      captures.map(async (capture) => ({ host: capture.host.role, explanation: await capture.explain() })),
    );
    return new Wires(wires, startedAt, names);
  }

  /** All TCP packets of some host's flows: of one connection, or to and from one port. */
  frames(host: string, which: { readonly connection?: string; readonly port?: number }): number {
    return this.#flows(host)
      .filter((flow) => which.connection === undefined || this.#connectionOf(flow) === which.connection)
      .filter(({ a, b }) => which.port === undefined || a.port === which.port || b.port === which.port)
      .reduce((sum, { frames }) => sum + frames, 0);
  }

  /**
   * What the capture alone says about a connection's end.
   *
   * @param local this host's end of it, as `endpointText` writes it.
   * @returns null: no end is to be seen; undefined: there is no such connection, or it was not captured here.
   */
  ending(host: string, local: string, remote: string): WireEnding | null | undefined {
    const flow = this.#byEnds.get(endsKey(host, local, remote));
    if (flow === undefined) return undefined;
    if (flow.verdict === null) return null;
    return { verdict: flow.verdict, noticedHere: endpointText(flow[flow.verdict.by]) === local };
  }

  #flows(host: string): readonly FlowReport[] {
    return this.#wires.filter((wire) => wire.host === host).flatMap(({ explanation }) => explanation.flows);
  }

  #connectionOf({ a, b }: FlowReport): string | null {
    return this.connections.get(endpointText(a)) ?? this.connections.get(endpointText(b)) ?? null;
  }

  #eventsOf({ host, explanation }: Wire, startedAt: number): WireEvent[] {
    const beginMs = explanation.startedAt - startedAt;
    return explanation.flows.flatMap((flow) => {
      const a = this.#hosts.get(flow.a.address) ?? flow.a.address;
      const b = this.#hosts.get(flow.b.address) ?? flow.b.address;
      const connection = this.#connectionOf(flow);
      return flow.events.map(({ frame, timeMs, kind, from }) => ({
        atMs: Math.round((beginMs + timeMs) * 10) / 10,
        source: "wire" as const,
        on: host,
        frame,
        kind,
        from: from === "a" ? a : b,
        to: from === "a" ? b : a,
        connection,
      }));
    });
  }
}

/** The same from both sides. */
function endsKey(host: string, one: string, other: string): string {
  return [host, ...[one, other].sort()].join();
}
