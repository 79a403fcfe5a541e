import type { Explanation, FlowReport } from "../../capture/index.js";
import type { Verdict } from "../../verdict/verdict.js";
import { endpointText, type WireEvent } from "./timeline.js";
import type { WireCapture } from "./wire.js";

export interface Names {
  /** Host names by address. */
  readonly hosts: ReadonlyMap<string, string>;
  /** Connection names by the endpoint of the one who opened it. */
  readonly connections: ReadonlyMap<string, string>;
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
  readonly #hosts: ReadonlyMap<string, string>;

  private constructor(wires: readonly Wire[], startedAt: number, names: Names) {
    this.#wires = wires;
    this.#hosts = names.hosts;
    this.connections = names.connections;
    this.events = wires.flatMap((wire) => this.#eventsOf(wire, startedAt)).sort((a, b) => a.atMs - b.atMs);
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

  /** What the capture alone says about a connection's end. */
  verdict(host: string, connection: string | null): Verdict | null {
    if (connection === null) return null;
    return this.#flows(host).find((flow) => this.#connectionOf(flow) === connection)?.verdict ?? null;
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
