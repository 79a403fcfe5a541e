import { formatDuration } from "../../plan/duration.js";
import type { Family } from "../network.js";
import type { Expectation, Scenario } from "../scenario/schema.js";
import { settingsOf } from "./actions.js";
import type { KernelWatch } from "./kernel-watch.js";
import type { Expected } from "./result.js";
import type { LabEvent } from "./timeline.js";
import type { Wires } from "./wires.js";

/** All that was seen in a run. */
export interface Seen {
  readonly events: readonly LabEvent[];
  /** When each named step began, since time 0. */
  readonly marks: ReadonlyMap<string, number>;
  readonly watch: KernelWatch;
  readonly wires: Wires;
  /** Windows end that much later. */
  readonly lateMs: number;
}

/** The scenario's expectations, each beside what was seen. */
export function evaluate(scenario: Scenario, family: Family, seen: Seen): Expected[] {
  return scenario.expect
    .filter((expectation) => (expectation.family ?? family) === family)
    .map((expectation) => new Comparison(scenario, expectation, seen).expected());
}

interface Found {
  readonly count: number;
  readonly atMs: readonly number[];
  readonly words: string;
}

class Comparison {
  readonly #scenario: Scenario;
  readonly #expectation: Expectation;
  readonly #seen: Seen;
  readonly #between: readonly [number, number] | null;

  constructor(scenario: Scenario, expectation: Expectation, seen: Seen) {
    this.#scenario = scenario;
    this.#expectation = expectation;
    this.#seen = seen;
    const { between, since } = expectation;
    const from = since === undefined ? 0 : (seen.marks.get(since) ?? 0);
    if (between !== undefined) this.#between = [from + between[0], from + between[1]];
    else this.#between = since === undefined ? null : [from, scenario.lasts];
  }

  expected(): Expected {
    const found = this.#find();
    const { count = 1 } = this.#expectation;
    const [least, most] = Array.isArray(count) ? count : [count, count];
    return {
      text: this.#expectation.text ?? this.#words(),
      passed: found.count >= least && found.count <= most,
      observed: found.words,
      atMs: found.atMs,
      between: this.#between,
    };
  }

  #find(): Found {
    const expectation = this.#expectation;
    if (expectation.sockets !== undefined) return this.#findSockets(expectation.sockets);
    if (expectation.wire !== undefined && expectation.wire.kind === "frames")
      return this.#countFrames(expectation.wire);
    const alike = this.#seen.events.filter((event) => this.#isMeant(event));
    const matching = alike.filter((event) => this.#inTime(event.atMs) && this.#fits(event));
    return {
      count: matching.length,
      atMs: matching.map(({ atMs }) => atMs),
      words: wordsFor(matching.length > 0 ? matching : alike, matching.length),
    };
  }

  /** The right kind of event, whatever it says and whenever it came: what a failed expectation shows instead. */
  #isMeant(event: LabEvent): boolean {
    const { verdict, program, wire } = this.#expectation;
    if (verdict !== undefined)
      return (
        event.source === "program" &&
        event.program === verdict.program &&
        event.event === "verdict" &&
        isOf(event, verdict.connection)
      );
    if (program !== undefined)
      return (
        event.source === "program" &&
        event.program === program.program &&
        event.event === program.event &&
        isOf(event, program.connection)
      );
    if (wire !== undefined)
      return (
        event.source === "wire" &&
        event.kind === wire.kind &&
        (wire.on === undefined || event.on === wire.on) &&
        (wire.from === undefined || event.from === wire.from) &&
        (wire.connection === undefined || event.connection === wire.connection)
      );
    return false;
  }

  #fits(event: LabEvent): boolean {
    const { verdict, program } = this.#expectation;
    if (event.source !== "program") return true;
    if (verdict !== undefined && event.event === "verdict") {
      const { program: _, connection: __, ...wanted } = verdict;
      return Object.entries(wanted).every(
        ([field, value]) => value === undefined || event.verdict[field as keyof typeof wanted] === value,
      );
    }
    if (program === undefined) return true;
    const said = event as {
      readonly errno?: string;
      readonly text?: string;
      readonly bytes?: number;
      readonly settings?: unknown;
    };
    if (program.errno !== undefined && said.errno !== program.errno) return false;
    if (program.text !== undefined && said.text?.includes(program.text) !== true) return false;
    if (program.bytes !== undefined && said.bytes !== program.bytes) return false;
    if (program.settings === undefined) return true;
    return JSON.stringify(said.settings) === JSON.stringify(settingsOf(program.settings));
  }

  #inTime(atMs: number): boolean {
    if (this.#between === null) return true;
    const [from, to] = this.#between;
    return atMs >= from && atMs <= to + this.#seen.lateMs;
  }

  /** Throughout the window: the number furthest from what was expected. */
  #findSockets(wanted: NonNullable<Expectation["sockets"]>): Found {
    const [from, to] = this.#between ?? [0, this.#scenario.lasts];
    const counts = this.#seen.watch
      .during(wanted.host, from, to)
      .map(
        ({ sockets }) =>
          sockets.filter(
            ({ state, timer, local, remote }) =>
              state === wanted.state &&
              (wanted.timer === undefined || timer === wanted.timer) &&
              (wanted.port === undefined || [local, remote].some((end) => end.endsWith(` ${wanted.port}`))) &&
              (wanted.connection === undefined ||
                [local, remote].some((end) => this.#seen.wires.connections.get(end) === wanted.connection)),
          ).length,
      );
    const { count = 1 } = this.#expectation;
    const [least, most] = Array.isArray(count) ? count : [count, count];
    const lowest = Math.min(...counts);
    const highest = Math.max(...counts);
    const telling = counts.length === 0 ? -1 : lowest < least ? lowest : highest > most ? highest : lowest;
    const words =
      counts.length === 0 ? "not looked at" : lowest === highest ? `${lowest}` : `${lowest} to ${highest}`;
    return { count: telling, atMs: [], words: `${words} in ${wanted.state}` };
  }

  #countFrames(wanted: NonNullable<Expectation["wire"]>): Found {
    const host = wanted.on ?? this.#scenario.capture?.[0] ?? Object.keys(this.#scenario.hosts)[0] ?? "";
    const count = this.#seen.wires.frames(host, {
      ...(wanted.connection === undefined ? {} : { connection: wanted.connection }),
      ...(wanted.port === undefined ? {} : { port: wanted.port }),
    });
    return { count, atMs: [], words: `${count} packets` };
  }

  #words(): string {
    const { verdict, program, wire, sockets, count = 1 } = this.#expectation;
    const times = Array.isArray(count)
      ? `${count[0]} to ${count[1]} `
      : count === 0
        ? "no "
        : count === 1
          ? ""
          : `${count} `;
    const when =
      this.#between === null
        ? ""
        : `, ${formatDuration(this.#between[0])} to ${formatDuration(this.#between[1])}`;
    if (verdict !== undefined) {
      const { program, connection, ...wanted } = verdict;
      const who = connection === undefined ? program : `${program}, ${connection}`;
      return `${times}verdict of ${who}: ${Object.values(wanted)
        .filter((value) => value !== undefined)
        .join(", ")}${when}`;
    }
    if (program !== undefined) {
      const { program: who, connection, event, settings, ...wanted } = program;
      const what = [
        ...Object.values(wanted),
        settings === undefined ? undefined : JSON.stringify(settings),
      ].filter((value) => value !== undefined);
      return `${connection === undefined ? who : `${who}, ${connection}`}: ${times}${[event, ...what].join(" ")}${when}`;
    }
    if (wire !== undefined)
      return `${times}${wire.kind}${wire.from === undefined ? "" : ` from ${wire.from}`}${when}`;
    return `${sockets?.host}: ${times}${sockets?.state}${sockets?.timer === undefined ? "" : `, timer ${sockets.timer}`}${when}`;
  }
}

function isOf(event: LabEvent, connection: string | undefined): boolean {
  return connection === undefined || ("connection" in event && event.connection === connection);
}

function wordsFor(events: readonly LabEvent[], matching: number): string {
  if (events.length === 0) return "nothing of the kind";
  const shown = events
    .slice(0, 6)
    .map((event) => `${said(event)} at ${formatDuration(Math.max(0, event.atMs))}`);
  const rest = events.length > shown.length ? `, and ${events.length - shown.length} more` : "";
  return `${matching === 0 ? "none that fits: " : ""}${shown.join(", ")}${rest}`;
}

function said(event: LabEvent): string {
  if (event.source === "wire") return event.kind;
  if (event.source !== "program") return event.source;
  if (event.event === "verdict") {
    const { state, timer, regime, errno } = event.verdict;
    return [state, timer, regime, errno].filter((part) => part !== null).join(", ");
  }
  const errno = "errno" in event ? ` ${event.errno}` : "";
  const text = "text" in event && event.text !== "" ? ` ${JSON.stringify(event.text.slice(0, 30))}` : "";
  const took =
    event.event === "exchanged" ? ` ${event.times} over ${event.connections} in ${event.tookMs} ms` : "";
  return `${event.event}${errno}${text}${took}`;
}
