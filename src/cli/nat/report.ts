import type { Measured, Server } from "../../client/nat/measurement.js";
import { type Directions, pathOption, rememberedMs, together } from "../../client/nat/search/memory.js";
import type { Bracket } from "../../client/nat/search/search.js";
import { formatEndpoint } from "../../client/nat/target.js";
import { formatDuration } from "../../plan/duration.js";
import type { Plan } from "../../plan/planner.js";
import { type Cell, table, type Terminal, wrap } from "../output.js";
import { section, settingsOf, widest } from "../plan/report.js";

/** What was found, for people, in sections with a blank line between them. */
export function natReport(measured: Measured, plan: Plan | null, detect: string, given: Terminal): string {
  const terminal = { ...given, width: Math.min(given.width, widest) };
  const bracket = together(measured.directions);
  const remarks = [...remarksOn(measured, bracket, plan)].map((text) => wrap(terminal, text, "  "));
  const findings = [directionsTable(measured.directions, terminal), ...remarks].join("\n");
  const sections = [section(terminal, title(measured, bracket), findings)];
  if (plan !== null) {
    const title = `Settings that hold it, and notice a dead peer within ${detect}`;
    const path = pathOption(rememberedMs(bracket));
    const next = `  deadpeer plan --detect ${detect} --path ${path} --for node\n      the lines to paste; other targets: deadpeer plan --list targets`;
    sections.push(
      section(terminal, title, settingsOf({ ...plan, path: [] })),
      section(terminal, "Next", next),
    );
  }
  return sections.join("\n\n");
}

function title({ server: { address }, problem }: Measured, { survivedMs, lostMs }: Bracket): string {
  const path = `The path to ${formatEndpoint(address.address, address.port)}`;
  const soFar = problem === null ? "" : ", as far as is known";
  if (lostMs === null) return `${path} remembers an idle connection for ${exact(survivedMs)} or more${soFar}`;
  return `${path} forgets an idle connection after ${exact(survivedMs)} to ${exact(lostMs, Math.ceil)}${soFar}`;
}

function directionsTable({ client, server }: Directions, terminal: Terminal): string {
  return table(
    terminal,
    [
      { title: "  speaks first" },
      { title: "survived", align: "right" },
      { title: "lost after", align: "right" },
      { title: "how" },
    ],
    [row("this end", client), ...(server === null ? [] : [row("the server", server)])],
  );
}

function row(who: string, { survivedMs, lostMs, lossKind }: Bracket): Cell[] {
  return [
    { text: `  ${who}` },
    { text: exact(survivedMs) },
    { text: lostMs === null ? "" : exact(lostMs, Math.ceil) },
    lossKind === "none" ? { text: "nothing was lost" } : { text: lossKind, style: "red" },
  ];
}

/** Rounded outwards, and never so that a bracket looks like one time. */
function exact(ms: number, round: (value: number) => number = Math.floor): string {
  return ms < 600_000 ? `${(round(ms / 100) / 10).toFixed(1)}s` : formatDuration(round(ms / 1_000) * 1_000);
}

function* remarksOn(
  { server, directions, problem }: Measured,
  bracket: Bracket,
  plan: Plan | null,
): Generator<string> {
  yield* lossRemarks(server, bracket, problem !== null);
  yield* pathRemarks(server);
  yield* ceilingRemarks(server, bracket);
  const [shortest] = bracket.strayMs;
  if (shortest !== undefined)
    yield `${bracket.strayMs.length} lost after a silence that others survived, the shortest ${exact(shortest)}: chance if it was one, several paths or a full table if there are more.`;
  yield* certaintyRemarks(server, directions);
  if (plan === null && bracket.lostMs !== null)
    yield "No TCP keepalive holds this, for it counts in whole seconds and a lost probe has to be repeated in time: let the program speak more often.";
}

function* lossRemarks(
  { isEcho }: Server,
  { lossKind, unasked, ceiling }: Bracket,
  early: boolean,
): Generator<string> {
  if (lossKind === "silent")
    yield "What is sent after that vanishes: an end learns of it only when its own timer runs out.";
  if (lossKind === "reset" && !unasked) yield "What is sent after that is answered with a reset.";
  if (unasked)
    yield `The reset comes by itself, while nobody speaks: from a box that says so when it forgets, or from a proxy${isEcho ? "" : " or the server itself, whose own limit this may be"}.`;
  if (lossKind === "none" && ceiling === null && !early)
    yield "That is the longest silence that was tried; --max looks further.";
}

function* pathRemarks({ seenAs, proxied }: Server): Generator<string> {
  if (proxied === true)
    yield "A proxy is between: it ends the TCP connection and makes one of its own. Keepalive reaches no further than the proxy, and the plan is for the way to it.";
  if (seenAs === null) return;
  const endpoint = formatEndpoint(seenAs.address, seenAs.port);
  yield `The server sees this host as ${endpoint}: addresses are translated on the way.`;
}

function* ceilingRemarks({ isEcho }: Server, { ceiling }: Bracket): Generator<string> {
  if (ceiling === null) return;
  const after = exact(ceiling.silentMs);
  if (ceiling.by === "spoken")
    yield `The server, or something on the way, sends by itself after ${after} (keepalive of its own, or data): no longer silence can be had against it.`;
  else if (isEcho)
    yield `Something on the way closed the connection in order after ${after}, and not the echo server: a proxy or load balancer. Only data resets its time; keepalive does not.`;
  else
    yield `The server closed the connection in order after ${after}: no longer silence can be had against it. That is the server's own limit, or a proxy's, and not a NAT: keepalive does not hold such a connection, requests or heartbeats do.`;
}

function* certaintyRemarks({ isEcho }: Server, { client, server }: Directions): Generator<string> {
  if (!isEcho)
    yield "Measured with this end's keepalive probes. Whether the server could still speak first, only `deadpeer echo` in its place tells.";
  if (server === null || server.lostMs === null) return;
  if (client.survivedMs >= server.lostMs)
    yield "What this end sends makes the path remember anew; what the server sends first is lost. The shorter time counts.";
}
