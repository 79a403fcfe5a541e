import type { FlowReport } from "../../capture/index.js";
import { DeadpeerError } from "../../errors.js";
import { isWished, type Wish } from "./wish.js";

/** So few are all shown, whether something was found or not. */
const few = 8;
/** Shown without --all. */
const mostShown = 20;
/** Kept while reading, so that a capture of a million connections takes no more room than one of a hundred. */
const mostKept = 2_000;

/** The order in which people want to read: what died unheard first. */
const order = ["silent", "unresponsive", "unreachable", "reset", "evicted", "local", "closed"] as const;
const findings: ReadonlySet<string> = new Set(order.slice(0, 4));

/** What became of a connection, in one word. */
export function stateOf({ verdict }: FlowReport): string {
  return verdict === null ? "open" : verdict.state;
}

/** Picks out what to show while a capture is read. */
export class Gathering {
  readonly #wish: Wish;
  #kept: FlowReport[] = [];
  /** All connections of the capture, and those that were asked for. */
  total = 0;
  wished = 0;
  /** Of those asked for: how many, by what became of them. */
  readonly states = new Map<string, number>();

  constructor(wish: Wish) {
    this.#wish = wish;
  }

  add(flow: FlowReport): void {
    this.total++;
    if (!isWished(this.#wish, flow)) return;
    this.wished++;
    const state = stateOf(flow);
    this.states.set(state, (this.states.get(state) ?? 0) + 1);
    this.#kept.push(flow);
    if (!this.#wish.all && this.#kept.length > 2 * mostKept)
      this.#kept = worstFirst(this.#kept).slice(0, mostKept);
  }

  /** @throws DeadpeerError `bad-option`: a connection was asked for by number and there is none. */
  shown(): FlowReport[] {
    const { firstFrame, all, port } = this.#wish;
    if (firstFrame !== null && this.wished === 0)
      throw new DeadpeerError(
        "bad-option",
        `--flow ${firstFrame}: no connection${port === null ? "" : ` with port ${port}`} begins with that frame`,
      );
    const flows = worstFirst(this.#kept);
    if (all || flows.length <= few) return flows;
    const telling = flows.filter(hasFinding);
    return telling.slice(0, mostShown);
  }
}

function hasFinding(flow: FlowReport): boolean {
  return findings.has(stateOf(flow)) || flow.events.some(({ kind }) => kind === "zero-window");
}

const behindReset = order.indexOf("reset") + 0.5;

function worstFirst(flows: readonly FlowReport[]): FlowReport[] {
  return [...flows].sort(
    (one, other) =>
      rank(one) - rank(other) ||
      (other.verdict?.detectedAfterMs ?? 0) - (one.verdict?.detectedAfterMs ?? 0) ||
      one.firstFrame - other.firstFrame,
  );
}

/** A connection that still stands, but had a closed window, comes before one that ended in order. */
function rank(flow: FlowReport): number {
  if (flow.verdict !== null) return order.indexOf(flow.verdict.state);
  return hasFinding(flow) ? behindReset : order.length;
}

/** `3 silent, 1 reset, 12 closed`, the worst first. */
export function stateCounts({ states }: Gathering): string {
  return [...order, "open"]
    .filter((state) => states.has(state))
    .map((state) => `${states.get(state)} ${state === "open" ? "still open" : state}`)
    .join(", ");
}
