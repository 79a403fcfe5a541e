import type { Obituary } from "../../host/watch/obituary.js";
import { bytesText } from "../bytes-text.js";
import { shortDuration } from "../ls-cells.js";
import { paint, type Style, type Terminal, wrap } from "../output.js";

interface LineColumn {
  readonly title: string;
  readonly align?: "right";
  /** What most lines need; a longer text moves the rest of its line, and nothing is ever cut. */
  readonly width: number;
  readonly text: (obituary: Obituary) => string;
}

const styles: Readonly<Record<string, Style>> = {
  silent: "red",
  unresponsive: "red",
  unreachable: "red",
  reset: "yellow",
  closed: "green",
};

/** So much of a line must be left for the sentence; on a narrower terminal it has lines of its own. */
const leastSentence = 48;

/** Lines come one at a time, so that the columns cannot be made to fit them: they keep the widest text that they have seen. */
export class LineWriter {
  readonly #terminal: Terminal;
  readonly #columns: readonly LineColumn[];
  readonly #widths: number[];
  /** Whether what does not fit a terminal's line stands below it. */
  readonly #isStacked: boolean;
  readonly #ownNamespace: string | null;

  /** @param ownNamespace what obituaries call the namespace that needs no naming; null: each names its own. */
  constructor(terminal: Terminal, withDate: boolean, ownNamespace: string | null) {
    this.#terminal = terminal;
    this.#ownNamespace = ownNamespace;
    const all = columns(
      withDate,
      (obituary) => connectionText(obituary) + (this.#isStacked ? "" : this.#where(obituary)),
    );
    const widest = all.reduce((sum, column) => sum + widthOf(column) + 2, 0);
    this.#isStacked = widest + leastSentence > terminal.width;
    this.#columns = this.#isStacked ? all.filter(({ title }) => isFirst.has(title)) : all;
    this.#widths = this.#columns.map(widthOf);
  }

  titles(): string {
    const titles = this.#columns.map(({ title }, index) => this.#fit(title, index));
    return paint(
      this.#terminal,
      "dim",
      [...titles, ...(this.#isStacked ? [] : ["WHY"])].join("  ").trimEnd(),
    );
  }

  line(obituary: Obituary): string {
    const { verdict } = obituary;
    const cells = this.#columns.map(({ title, text }, index) => {
      const fitted = this.#fit(text(obituary), index);
      const style = title === "VERDICT" ? styles[verdict.state] : undefined;
      return style === undefined ? fitted : paint(this.#terminal, style, fitted);
    });
    if (!this.#isStacked) return [...cells, sentence(obituary)].join("  ");
    const below = wrap(
      this.#terminal,
      `${sentence(obituary)} (${figures(obituary)}${this.#where(obituary)})`,
      indent,
    );
    return `${cells.join("  ").trimEnd()}\n${below}`;
  }

  #where({ netns }: Obituary): string {
    return netns === null || netns === this.#ownNamespace ? "" : ` in ${netns}`;
  }

  #fit(text: string, index: number): string {
    const width = Math.max(this.#widths[index] ?? 0, text.length);
    this.#widths[index] = Math.min(width, mostWidth);
    return this.#columns[index]?.align === "right" ? text.padStart(width) : text.padEnd(width);
  }
}

function widthOf({ title, width }: LineColumn): number {
  return Math.max(title.length, width);
}

/** What stays in the first line on a narrow terminal: who died, and of what. */
const isFirst: ReadonlySet<string> = new Set(["TIME", "VERDICT", "PROCESS", "CONNECTION"]);
const indent = " ".repeat(10);

/** The other columns in words. */
function figures(obituary: Obituary): string {
  const { state, bytes, verdict } = obituary;
  const { detectedAfterMs, timer } = verdict;
  const parts = [
    ...(detectedAfterMs === null ? [] : [`unnoticed for ${shortDuration(detectedAfterMs)}`]),
    ...(timer === "none" ? [] : [`by ${timer}`]),
    `was ${state}`,
    `lived ${lifetimeText(obituary)}`,
    `sent ${count(bytes?.sent)}`,
    `received ${count(bytes?.received)}`,
  ];
  return parts.join(", ");
}

/** One IPv6 connection between long addresses must not push all later lines off the screen. */
const mostWidth = 48;

function columns(withDate: boolean, connection: (obituary: Obituary) => string): readonly LineColumn[] {
  return [
    { title: "TIME", width: withDate ? 19 : 8, text: ({ at }) => localTime(new Date(at), withDate) },
    { title: "VERDICT", width: 12, text: verdictText },
    {
      title: "UNNOTICED",
      width: 9,
      align: "right",
      text: ({ verdict: { detectedAfterMs } }) =>
        detectedAfterMs === null ? "-" : shortDuration(detectedAfterMs),
    },
    { title: "TIMER", width: 12, text: ({ verdict: { timer } }) => (timer === "none" ? "-" : timer) },
    { title: "PROCESS", width: 16, text: processText },
    { title: "CONNECTION", width: 34, text: connection },
    { title: "WAS", width: 11, text: ({ state }) => state },
    { title: "LIVED", width: 7, align: "right", text: lifetimeText },
    { title: "SENT", width: 7, align: "right", text: ({ bytes }) => count(bytes?.sent) },
    { title: "RECEIVED", width: 8, align: "right", text: ({ bytes }) => count(bytes?.received) },
  ];
}

function localTime(at: Date, withDate: boolean): string {
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return withDate ? `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}` : time;
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

function verdictText({ verdict: { state, certainty } }: Obituary): string {
  return certainty === "certain" ? state : `${state}?`;
}

function processText({ processes: [first, ...others] }: Obituary): string {
  if (first === undefined) return "-";
  // A program names itself, and may put what moves the cursor into its name.
  const name = first.name.replaceAll(/\p{C}/gu, "?");
  const more = new Set(others.map(({ pid }) => pid).filter((pid) => pid !== first.pid)).size;
  return `${name} ${first.pid}${more === 0 ? "" : ` +${more}`}`;
}

function connectionText({ local, remote, direction }: Obituary): string {
  const arrow = direction === "outgoing" ? "→" : direction === "incoming" ? "←" : "↔";
  return `${endpoint(local)} ${arrow} ${endpoint(remote)}`;
}

function endpoint({ address, port }: Obituary["local"]): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function lifetimeText({ lifetimeMs, lifetimeAtLeast }: Obituary): string {
  if (lifetimeMs === null) return "?";
  return `${lifetimeAtLeast ? ">" : ""}${shortDuration(lifetimeMs)}`;
}

function count(bytes: number | undefined): string {
  return bytes === undefined ? "?" : bytesText(bytes).replace(" ", "");
}

/** What else it could be, where that is not certain. */
function sentence({ verdict: { sentence, couldAlsoBe } }: Obituary): string {
  return couldAlsoBe.length === 0 ? sentence : `${sentence} Could also be: ${couldAlsoBe.join(", ")}.`;
}
