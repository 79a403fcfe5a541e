import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Obituary } from "../../src/host/watch/obituary.js";
import { deathsIn } from "../../src/lab/run/agreement.js";
import type { ScenarioResult } from "../../src/lab/run/result.js";
import { needsLab } from "../lab/support.js";
import { cli } from "../support/checkout.js";
import { until } from "../support/until.js";

type Death = ReturnType<typeof deathsIn>[number];

/** A program that is busy, or away, learns of the end later than the kernel; and the kernel may have to get rid of a FIN. */
const farthestMs = 15_000;
/** Both read the same figures, each at a moment of its own, from clocks of 4 ms; programs of a busy lab are late. */
const slackMs = 400;

/** What only the program itself can know: that nobody answered its heartbeats. The kernel sees it close the connection. */
const ownAffair = (death: Death): boolean => death.verdict.timer === "heartbeat";

/** States in which the peer was found to be gone; of the others only the state is of interest. */
const found: ReadonlySet<string> = new Set(["silent", "unreachable", "unresponsive", "reset"]);

describe("deadpeer watch beside the lab", { skip: needsLab, timeout: 300_000 }, () => {
  let folder: string;
  let watch: ChildProcess;
  let results: ScenarioResult[];
  let obituaries: Map<string, Obituary[]>;
  let said: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-lab-watch-"));
    const file = (name: string): string => join(folder, name);
    const stdio = (name: string): ["ignore", number, number] => [
      "ignore",
      openSync(file(name), "w"),
      openSync(file(`${name}.err`), "w"),
    ];
    watch = spawn(process.execPath, [cli, "watch", "--json"], { stdio: stdio("watch") });
    await until(() => readFileSync(file("watch.err"), "utf8").includes("watching"));
    const lab = spawn(process.execPath, [cli, "lab", "run", "--all", "--json"], { stdio: stdio("lab") });
    await once(lab, "exit");
    watch.kill("SIGTERM");
    const [status] = (await once(watch, "exit")) as [number | null];
    said = readFileSync(file("watch.err"), "utf8");
    assert.equal(status, 0, said);
    results = JSON.parse(readFileSync(file("lab"), "utf8")) as ScenarioResult[];
    obituaries = byEnds(read(file("watch"), lab.pid ?? 0));
  });

  after(() => {
    watch.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  });

  test("it lost no events", () => assert.match(said, /; no events lost\n/));

  test("every death that a program's guard saw is told once, with the same verdict", () => {
    const problems: string[] = [];
    const states = new Set<string>();
    let compared = 0;
    let figured = 0;
    for (const { name, family, observed, startedAt, passed } of results) {
      if (!passed) continue;
      for (const death of deathsIn(observed)) {
        const at = startedAt + death.atMs;
        const told = (obituaries.get(`${death.local} ${death.remote}`) ?? []).filter(
          (obituary) =>
            Math.abs(obituary.verdict.at - at) < farthestMs &&
            (obituary.netns === null || obituary.netns.endsWith(`-${death.host}`)),
        );
        const [obituary] = told;
        const where = `${name}, IPv${family}, ${death.program}, ${death.connection}`;
        if (obituary === undefined || told.length > 1) {
          problems.push(`${where}: told ${told.length} times`);
          continue;
        }
        compared++;
        states.add(obituary.verdict.state);
        if (obituary.verdict.figures !== null) figured++;
        problems.push(...disagreements(death, obituary).map((problem) => `${where}: ${problem}`));
      }
    }
    assert.deepEqual(problems, []);
    assert.deepEqual([...states].sort(), [...found, "closed", "local"].sort());
    assert.ok(compared > 1_000, `${compared} deaths were compared`);
    assert.ok(figured > compared * 0.95, `${figured} of ${compared} with figures`);
  });
});

/** Those of this lab's hosts, and those whose host could not be found out. */
function read(file: string, lab: number): Obituary[] {
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Obituary)
    .filter(({ netns }) => netns === null || netns.startsWith(`dp-lab-${lab}-`));
}

/** As the lab's deaths have them. */
function byEnds(obituaries: readonly Obituary[]): Map<string, Obituary[]> {
  const groups = new Map<string, Obituary[]>();
  for (const obituary of obituaries) {
    const { local, remote } = obituary;
    const key = `${local.address} ${local.port} ${remote.address} ${remote.port}`;
    groups.set(key, [...(groups.get(key) ?? []), obituary]);
  }
  return groups;
}

function disagreements(death: Death, { verdict: told, state }: Obituary): string[] {
  const { verdict: seen } = death;
  if (ownAffair(death)) return told.state === "local" ? [] : [`${told.state}, though the program closed it`];
  const problems: string[] = [];
  const compare = (what: string, ours: unknown, theirs: unknown): void => {
    if (ours !== theirs)
      problems.push(`${what} ${String(ours)}, the guard says ${String(theirs)} (${state})`);
  };
  compare("state", told.state, seen.state);
  if (!found.has(seen.state)) return problems;
  compare("errno", told.errno, seen.errno);
  if (told.figures === null) return problems;
  // That keepalive gave up shows in an RST that a program never sees.
  if (seen.timer !== "none" || told.timer !== "keepalive") compare("timer", told.timer, seen.timer);
  const heardAt = (verdict: Death["verdict"]): number => verdict.at - (verdict.detectedAfterMs ?? 0);
  if (Math.abs(heardAt(told) - heardAt(seen)) > slackMs)
    problems.push(`unnoticed for ${told.detectedAfterMs} ms, the guard says ${seen.detectedAfterMs} ms`);
  return problems;
}
