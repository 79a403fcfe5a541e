import type { Measured } from "../../client/nat/measurement.js";
import { together } from "../../client/nat/search/memory.js";
import type { Bracket } from "../../client/nat/search/search.js";
import type { Interruption } from "../../client/nat/search/outcome.js";
import type { Plan } from "../../plan/planner.js";
import { publicPart } from "../plan/run.js";

interface Figures extends Omit<Bracket, "ceiling"> {
  readonly brokenOff: { readonly by: Interruption; readonly afterMs: number } | null;
}

/** What `nat --json` prints. */
export function natJson(target: string, measured: Measured, plan: Plan | null): object {
  const { server, directions } = measured;
  const { client, server: inward } = directions;
  const { survivedMs, lostMs, lossKind, unasked, brokenOff, strayMs } = figures(together(directions));
  return {
    target,
    survivedMs,
    lostMs,
    lossKind,
    plan: plan === null ? null : publicPart(plan),
    complete: measured.problem === null,
    problem: measured.problem?.message ?? null,
    address: server.address,
    server: server.isEcho ? "deadpeer-echo" : "other",
    seenAs: server.seenAs,
    proxied: server.proxied,
    unasked,
    brokenOff,
    strayMs,
    directions: { client: figures(client), server: inward === null ? null : figures(inward) },
  };
}

function figures({ survivedMs, lostMs, lossKind, unasked, ceiling, strayMs }: Bracket): Figures {
  return {
    survivedMs: Math.floor(survivedMs),
    lostMs: lostMs === null ? null : Math.ceil(lostMs),
    lossKind,
    unasked,
    brokenOff: ceiling === null ? null : { by: ceiling.by, afterMs: Math.floor(ceiling.silentMs) },
    strayMs: strayMs.map((ms) => Math.ceil(ms)),
  };
}
