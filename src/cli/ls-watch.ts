import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../errors.js";
import type { Connection } from "../host/connection.js";
import type { EarlierSample } from "../host/findings.js";
import { worstFirst } from "../host/rank.js";
import { surveyHost, type SurveyOptions } from "../host/survey.js";
import { parseDuration } from "../plan/duration.js";
import { pageOf } from "./ls-report.js";
import { gaps } from "./ls-gaps.js";
import { summaryLine } from "./ls-summary.js";
import { connectionTable, type Mark } from "./ls-table.js";
import { type Terminal, terminalOf, wrap } from "./output.js";

/** Faster than this nobody can read, and the looking itself would be the load. */
const shortestIntervalMs = 200;

/** Node's timers count milliseconds in 31 bits; a longer wait would be none at all. */
const longestIntervalMs = 2_147_483_647;

/** The alternate screen leaves what stood in the terminal before as it was (DEC private mode 1049); the cursor only flickers. */
const enterScreen = "\u001B[?1049h\u001B[?25l";
const leaveScreen = "\u001B[?25h\u001B[?1049l";
const home = "\u001B[H";
const eraseLineEnd = "\u001B[K";
const eraseBelow = "\u001B[J";

/** One look at the host, and what changed since the one before. */
interface Sample {
  readonly at: Date;
  readonly connections: readonly Connection[];
  /** Cookies that were not there before; null in the first sample, where everything would be new. */
  readonly fresh: ReadonlySet<string> | null;
  readonly gone: readonly Connection[];
  readonly notes: readonly string[];
}

/**
 * Shows the connections until SIGINT or SIGTERM: redrawn in place on a terminal, one table after the other elsewhere.
 *
 * @throws DeadpeerError as surveyHost; the terminal is given back first.
 */
export async function watch(options: SurveyOptions, interval: string, group: boolean): Promise<void> {
  const intervalMs = parseDuration(interval, "--watch");
  if (intervalMs < shortestIntervalMs)
    throw new DeadpeerError(
      "bad-duration",
      `--watch: ${interval} is too short; the least is ${shortestIntervalMs}ms`,
    );
  if (intervalMs > longestIntervalMs)
    throw new DeadpeerError("bad-duration", `--watch: ${interval} is too long; the most is 24d`);
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.on("SIGINT", end).on("SIGTERM", end);
  const screen = process.stdout.isTTY ? new Screen(group) : new Scroll(group);
  try {
    let sample = take(options, null);
    screen.open();
    while (!ended.signal.aborted) {
      screen.show(sample);
      await sleep(intervalMs, undefined, { signal: ended.signal }).catch(() => {});
      if (!ended.signal.aborted) sample = take(options, sample);
    }
  } finally {
    screen.close();
    process.off("SIGINT", end).off("SIGTERM", end);
  }
}

function take(options: SurveyOptions, before: Sample | null): Sample {
  const at = new Date();
  const survey = surveyHost(before === null ? options : { ...options, earlier: asEarlier(before, at) });
  const known = before === null ? null : new Map(before.connections.map((item) => [identity(item), item]));
  const fresh = known === null ? null : new Set<string>();
  for (const connection of survey.connections)
    if (known !== null && !known.delete(identity(connection))) fresh?.add(identity(connection));
  return {
    at,
    connections: survey.connections.sort(worstFirst),
    fresh,
    gone: [...(known?.values() ?? [])],
    notes: gaps(survey.sight),
  };
}

/** TIME_WAIT takes over the place of the connection and gets a cookie of its own. */
function identity({ cookie }: Connection): string {
  return cookie;
}

function asEarlier({ at, connections }: Sample, now: Date): EarlierSample {
  return {
    elapsedMs: now.getTime() - at.getTime(),
    sendQueues: new Map(connections.map(({ cookie, queues }) => [cookie, queues.send])),
  };
}

function headline({ at, connections, fresh, gone }: Sample): string {
  const changes = fresh === null ? "" : `  (${fresh.size} new, ${gone.length} gone)`;
  return `${at.toTimeString().slice(0, 8)}  ${summaryLine(connections)}${changes}`;
}

/** Titles, the line that counts what did not fit, and an empty one. */
const linesBesideRows = 3;

function body(terminal: Terminal, sample: Sample, group: boolean, lines?: number): string {
  const { connections, fresh, gone } = sample;
  const lost = new Set(gone);
  const mark = (connection: Connection): Mark => {
    if (lost.has(connection)) return "-";
    return fresh?.has(identity(connection)) === true ? "+" : "";
  };
  const all = [...gone, ...connections];
  if (all.length === 0) return "No connections to show.";
  return connectionTable(terminal, {
    connections: all,
    group,
    mark,
    ...(lines === undefined ? {} : { lines }),
  });
}

/** A terminal, drawn over in place. */
class Screen {
  readonly #group: boolean;
  #open = false;
  #sample: Sample | null = null;

  constructor(group: boolean) {
    this.#group = group;
  }

  open(): void {
    this.#open = true;
    process.stdout.write(enterScreen);
    process.stdout.on("resize", this.#redraw);
  }

  show(sample: Sample): void {
    this.#sample = sample;
    this.#redraw();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.stdout.off("resize", this.#redraw);
    process.stdout.write(leaveScreen);
  }

  readonly #redraw = (): void => {
    if (this.#sample === null) return;
    const terminal = terminalOf(process.stdout);
    const { rows } = process.stdout;
    const top = [headline(this.#sample), ...this.#sample.notes].map((line) => wrap(terminal, line));
    const topLines = top.join("\n").split("\n").length;
    const room = Math.max(1, rows - topLines - linesBesideRows);
    const text = [...top, "", body(terminal, this.#sample, this.#group, room)].join("\n");
    const lines = text.split("\n").slice(0, rows);
    // Line by line over what stands there, so that nothing flickers.
    process.stdout.write(`${home}${lines.map((line) => line + eraseLineEnd).join("\r\n")}${eraseBelow}`);
  };
}

/** A pipe or file: one table after the other, each under the time it was taken. */
class Scroll {
  readonly #group: boolean;

  constructor(group: boolean) {
    this.#group = group;
  }

  open(): void {}

  show(sample: Sample): void {
    const { table } = pageOf(process.stdout);
    const notes = sample.notes.map((line) => `${line}\n`).join("");
    process.stdout.write(`${headline(sample)}\n${notes}${body(table, sample, this.#group)}\n\n`);
  }

  close(): void {}
}
