import type { SequenceNote } from "../../diagram/sequence.js";
import { formatDuration } from "../../plan/duration.js";
import { settingsWords } from "./settings-words.js";

/** What a step of a scenario said; which fields there are depends on the action (src/lab/scenario/schema.ts). */
type Details = Readonly<Record<string, unknown>>;

interface Wording {
  readonly tone: SequenceNote["tone"];
  readonly words: (details: Details) => string;
}

const wordings: Readonly<Record<string, Wording>> = {
  drop: { tone: "fault", words: (step) => `${share(step)}packets ${way(step)} are dropped` },
  reject: { tone: "fault", words: (step) => `packets ${way(step)} are rejected: ${text(step["with"])}` },
  flap: {
    tone: "fault",
    words: (step) => `the way ${way(step)} is down ${ms(step["down"])}, up ${ms(step["up"])}, and again`,
  },
  unplug: { tone: "fault", words: (step) => `the cable of ${text(step["host"])} is pulled out` },
  linkDown: { tone: "fault", words: (step) => `${text(step["host"])} takes its interface down` },
  removeAddress: { tone: "fault", words: (step) => `${text(step["host"])} loses its address` },
  heal: { tone: "heal", words: (step) => `${text(step["fault"])} is over` },
  crash: { tone: "fault", words: (step) => `${text(step["host"])} loses power` },
  reboot: { tone: "heal", words: (step) => `${text(step["host"])} is back, and remembers nothing` },
  kill: { tone: "fault", words: (step) => `the program ${text(step["program"])} is killed (SIGKILL)` },
  stop: { tone: "fault", words: (step) => `the program ${text(step["program"])} is stopped (SIGSTOP)` },
  continue: { tone: "heal", words: (step) => `the program ${text(step["program"])} goes on (SIGCONT)` },
  start: { tone: "heal", words: (step) => `the program ${text(step["program"])} starts` },
  write: { tone: "plain", words: (step) => `${text(step["program"])} writes ${written(step)}` },
  end: { tone: "plain", words: (step) => `${text(step["program"])} ends its side` },
  destroy: { tone: "plain", words: (step) => `${text(step["program"])} closes its socket` },
  set: {
    tone: "plain",
    words: (step) => `${text(step["program"])} sets ${settingsWords(step["settings"])}`,
  },
  heartbeat: {
    tone: "plain",
    words: (step) =>
      `${text(step["program"])} begins heartbeats, one every ${ms(step["every"])}; ${text(step["misses"])} missed are the end`,
  },
  exchange: {
    tone: "plain",
    words: (step) =>
      `${text(step["program"])} asks ${text(step["to"])} ${text(step["times"])} times, ${step["connections"] === "one" ? "all over one connection" : "each over its own"}`,
  },
};

/** A step of a scenario in words; null for one that changes nothing. */
export function stepWords(action: string, details: unknown): Pick<SequenceNote, "text" | "tone"> | null {
  if (action === "snapshot") return null;
  const wording = wordings[action];
  if (wording === undefined) return { text: action, tone: "plain" };
  return { text: wording.words((details ?? {}) as Details), tone: wording.tone };
}

function way({ from, to, between, port }: Details): string {
  const ends = Array.isArray(between)
    ? `between ${between.map(text).join(" and ")}`
    : `${from === undefined ? "" : `from ${text(from)} `}${to === undefined ? "" : `to ${text(to)}`}`.trim();
  return port === undefined ? ends : `${ends} (port ${text(port)})`;
}

function share({ share: percent }: Details): string {
  return percent === undefined ? "" : `${text(percent)} % of the `;
}

function written({ text: words, bytes }: Details): string {
  return bytes === undefined ? `“${text(words)}”` : `${text(bytes)} bytes`;
}

function ms(value: unknown): string {
  return typeof value === "number" ? formatDuration(value) : text(value);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
