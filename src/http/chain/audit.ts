import { formatDuration } from "../../plan/duration.js";
import type { Fault, Hop, Keeping, Sending, Span } from "./hop.js";

/** How two neighbours go together. */
export interface Pair {
  readonly from: string;
  readonly to: string;
  /** For how long the first keeps an idle connection, hints of the next one included; null: without end, or none. */
  readonly idleMs: number | null;
  /** For how long the second does. */
  readonly keepAliveMs: number | null;
  readonly verdict: "good" | "race" | "tight" | "no-reuse" | "unknown";
  /** In a sentence. */
  readonly because: string;
}

export interface Audit {
  readonly pairs: readonly Pair[];
  readonly findings: readonly (Fault & { readonly hop: string })[];
}

/** What is added where the later hop is to keep for longer: the five seconds by which AWS's and Google's own advice exceed theirs. */
const usualHeadroomMs = 5_000;

/**
 * Holds each hop's idle time against the next one's: it has to be shorter by the margin, or a request crosses the next one's FIN.
 * Firewalls and NATs between are held against the hop before them.
 *
 * @param marginMs two ways of a packet, and what a busy program's timers are late by.
 * @example audit([nginx, node], 1_000).findings
 */
export function audit(hops: readonly Hop[], marginMs: number): Audit {
  const pairs: Pair[] = [];
  const findings: (Fault & { hop: string })[] = hops.flatMap((hop) =>
    hop.faults.map((fault) => ({ ...fault, hop: hop.name })),
  );
  let before: Hop | null = null;
  for (const hop of hops) {
    if (before !== null) {
      const { pair, fault } =
        hop.forgetsMs === null ? compare(before, hop, marginMs) : pass(before, hop, hop.forgetsMs, marginMs);
      pairs.push(pair);
      if (fault !== null) findings.push({ ...fault, message: capital(fault.message), hop: before.name });
    }
    if (hop.forgetsMs === null) before = hop;
  }
  return { pairs, findings };
}

/** Programs write their names as they do. */
function capital(sentence: string): string {
  return sentence.replace(/^(the|of) /, (word) => word.charAt(0).toUpperCase() + word.slice(1));
}

interface Compared {
  readonly pair: Pair;
  readonly fault: Fault | null;
}

function compare(first: Hop, second: Hop, marginMs: number): Compared {
  const { sending } = first;
  const { keeping } = second;
  if (sending === null || keeping === null) return unknown(first, second);
  const settled = (verdict: Pair["verdict"], because: string, fault: Fault | null = null): Compared => {
    const idleMs = sending.noReuse === null ? effective(sending, keeping) : null;
    const keepAliveMs = keeping.noKeepAlive === null ? keeping.keepAlive.ms : null;
    return { pair: { from: first.name, to: second.name, idleMs, keepAliveMs, verdict, because }, fault };
  };
  if (sending.noReuse !== null)
    return settled(
      "no-reuse",
      `${first.name} ${sending.noReuse}: no race, but a new connection for each request`,
    );
  if (keeping.noKeepAlive !== null)
    return settled(
      "no-reuse",
      `${second.name} ${keeping.noKeepAlive}: no race, but a new connection for each request`,
    );
  const idleMs = effective(sending, keeping);
  const keptMs = keeping.keepAlive.ms;
  const keeps = `${second.name} keeps one for ${formatDuration(keptMs)} (${described(keeping.keepAlive)})`;
  if (keptMs === null)
    return settled("good", `${second.name} never ends an idle connection (${described(keeping.keepAlive)})`);
  const idles = `${first.name} ends an idle connection after ${idleMs === null ? "no time at all" : formatDuration(idleMs)} (${described(sending.idle)})`;
  if (idleMs !== null && idleMs + marginMs <= keptMs) return settled("good", `${idles}, and ${keeps}`);
  const set = remedies(first, second, sending, keeping, idleMs, keptMs, marginMs);
  if (idleMs === null)
    return settled("race", `${first.name} never ends an idle connection, and ${keeps}`, {
      code: "idle-never-ends",
      message: `${first.name} never ends an idle connection by itself (${described(sending.idle)}), and ${keeps}: whoever sends at that moment meets the FIN, and gets a 502 or ECONNRESET.`,
      set,
    });
  if (idleMs >= keptMs)
    return settled("race", `${idles}, and ${keeps}`, {
      code: "idle-exceeds-keepalive",
      message: `${idles}, and ${keeps}: a request that ${first.name} sends on a connection idle for about ${formatDuration(keptMs)} crosses the FIN, and becomes a 502 or ECONNRESET.`,
      set,
    });
  return settled("tight", `${idles}, and ${keeps}`, {
    code: "margin-too-small",
    message: `${idles}, and ${keeps}: less than ${formatDuration(marginMs)} between them, which late timers and the way of two packets use up.`,
    set,
  });
}

function pass(first: Hop, box: Hop, forgetsMs: number, marginMs: number): Compared {
  const { sending } = first;
  if (sending === null) return unknown(first, box);
  const idleMs = sending.noReuse === null ? sending.idle.ms : null;
  const settled = (verdict: Pair["verdict"], because: string, fault: Fault | null = null): Compared => ({
    pair: { from: first.name, to: box.name, idleMs, keepAliveMs: forgetsMs, verdict, because },
    fault,
  });
  if (sending.noReuse !== null) return settled("no-reuse", `${first.name} ${sending.noReuse}`);
  const forgets = `${box.name} forgets an idle connection after ${formatDuration(forgetsMs)}`;
  if (idleMs !== null && idleMs + marginMs <= forgetsMs)
    return settled(
      "good",
      `${first.name} ends an idle connection after ${formatDuration(idleMs)}, and ${forgets}`,
    );
  const lower = lowered(forgetsMs, marginMs);
  return settled("race", forgets, {
    code: "path-forgets-first",
    message: `${first.name} ${idleMs === null ? "never ends an idle connection" : `ends an idle connection after ${formatDuration(idleMs)}`} (${described(sending.idle)}), and ${forgets}: a request after that vanishes, or is reset. Where connections have to stand for longer, TCP keepalive below that time holds the flow.`,
    set: sending.set === null ? [] : [{ hop: first.name, line: sending.set(lower) }],
  });
}

function unknown(first: Hop, second: Hop): Compared {
  const blind = first.sending === null ? first : second;
  const what =
    blind === first
      ? "for how long it keeps connections to the next hop"
      : "for how long it keeps connections";
  const reason = blind === first ? first.unknown?.sending : second.unknown?.keeping;
  const because =
    reason === undefined
      ? `of ${blind.name} is not known ${what}`
      : `${blind.name} ${reason}: ${what} is not known`;
  return {
    pair: { from: first.name, to: second.name, idleMs: null, keepAliveMs: null, verdict: "unknown", because },
    fault: {
      code: "unknown-times",
      message: `${capital(because)}; give it, e.g. ${blind === first ? "idle=60s" : "keepalive=65s"}, or what sets it.`,
      set: [],
    },
  };
}

/** The idle time of the first hop, with what it makes of the next one's hint. */
function effective({ idle, hint }: Sending, { advertisedMs }: Keeping): number | null {
  if (hint === null || advertisedMs === null) return idle.ms;
  const hintedMs = Math.max(0, Math.min(hint.maxMs ?? Infinity, advertisedMs - hint.marginMs));
  return hint.counts === "instead" ? hintedMs : Math.min(idle.ms ?? Infinity, hintedMs);
}

/** Later hops first: who answers is the one that everybody before it depends on. */
function remedies(
  first: Hop,
  second: Hop,
  sending: Sending,
  keeping: Keeping,
  idleMs: number | null,
  keptMs: number,
  marginMs: number,
): Fault["set"] {
  const lower = lowered(keptMs, marginMs);
  return [
    ...(idleMs === null || keeping.set === null
      ? []
      : [{ hop: second.name, line: keeping.set(raised(idleMs, marginMs)) }]),
    ...(sending.set === null ? [] : [{ hop: first.name, line: sending.set(lower) }]),
  ];
}

/** Rounded down to a whole second where that leaves anything: not every program counts in less. */
function lowered(keptMs: number, marginMs: number): number {
  const ms = Math.max(keptMs / 2, keptMs - Math.max(marginMs, Math.min(usualHeadroomMs, keptMs / 10)));
  return Math.min(ms, keptMs - marginMs) >= 1_000
    ? Math.floor(Math.min(ms, keptMs - marginMs) / 1_000) * 1_000
    : Math.max(1, Math.floor(ms));
}

function raised(idleMs: number, marginMs: number): number {
  return Math.ceil((idleMs + Math.max(marginMs, usualHeadroomMs)) / 1_000) * 1_000;
}

function described({ name, place }: Span): string {
  return place === "" ? name : `${name}, ${place}`;
}
