import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../errors.js";
import type { Family } from "../lab/network.js";
import { interrupted } from "../lab/run/runner.js";
import { Stage } from "../lab/run/stage.js";
import { findScenario } from "../lab/scenario/load.js";
import type { Scenario } from "../lab/scenario/schema.js";
import { sweep } from "../lab/sweep.js";
import { requireLabTools } from "../lab/tools.js";
import { nearest } from "../plan/nearest.js";
import { exitStatus } from "./exit.js";
import { interruptible } from "./interrupt.js";
import type { LabShellOptions } from "./lab.js";
import { note } from "./note.js";

/** A shell whose terminal has gone tells its jobs and ends; one that does not, ends with its host. */
const farewellMs = 1_000;

/** `deadpeer lab shell`: a scenario's hosts and connections, and a shell on one of them. */
export async function shell(name: string, { host, ipv6 }: LabShellOptions): Promise<void> {
  const scenario = findScenario(name);
  const where = hostOf(scenario, host);
  requireLabTools();
  await sweep();
  const stage = await interruptible((signal) => setUp(scenario, ipv6 === true ? 6 : 4, signal));
  introduce(stage, where);
  // Ctrl-C is for what runs in the shell.
  process.on("SIGINT", ignore);
  try {
    await interruptible((signal) => play(stage, where, signal), ["SIGTERM", "SIGHUP"]);
  } finally {
    process.off("SIGINT", ignore);
  }
}

function hostOf(scenario: Scenario, asked: string | undefined): string {
  const names = Object.keys(scenario.hosts);
  const caller = Object.values(scenario.programs).find(({ connect }) => connect !== undefined);
  const where = asked ?? caller?.host ?? names[0] ?? "";
  if (where !== "router" && !names.includes(where))
    throw new DeadpeerError(
      "bad-option",
      `--host: ${scenario.name} has no host "${where}"; did you mean "${nearest(where, names)}"? (${names.join(", ")}, router)`,
    );
  return where;
}

async function setUp(scenario: Scenario, family: Family, signal: AbortSignal): Promise<Stage> {
  let stage: Stage | null = null;
  try {
    stage = await Stage.build(scenario, family, () => {}, signal);
    await stage.startAll();
    signal.throwIfAborted();
    return stage;
  } catch (error) {
    await stage?.[Symbol.asyncDispose]();
    throw signal.aborted ? interrupted(error) : error;
  }
}

function introduce({ network, family }: Stage, where: string): void {
  for (const host of network.all) {
    // The router has an address on each of its links, and none of its own.
    const address = host === network.router ? "" : `, ${host.address(family)}`;
    const enter = host.role === where ? "you are here" : `ip netns exec ${host.namespaceName} sh`;
    note(`${host.role}${address}: ${enter}`);
  }
  note("the hosts go when this shell ends");
}

/** Runs the shell to its end, and ends the hosts. */
async function play(stage: Stage, where: string, signal: AbortSignal): Promise<void> {
  await using hosts = stage;
  const program = process.env["SHELL"] ?? "/bin/sh";
  // It reads the terminal, so it stays in our session.
  const child = hosts.network.host(where).spawn(program, [], { stdio: "inherit", detached: false });
  const ended = once(child, "exit") as Promise<[number | null]>;
  const aborted = new Promise<"aborted">((resolve) =>
    signal.addEventListener("abort", () => resolve("aborted")),
  );
  try {
    const first = await Promise.race([ended, aborted]);
    if (first !== "aborted") {
      process.exitCode = first[0] ?? exitStatus.done;
      return;
    }
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DeadpeerError("tool-missing", `the shell ${program} cannot be started (${code})`, { cause });
  }
  child.kill("SIGHUP");
  await Promise.race([ended, sleep(farewellMs, undefined, { ref: false })]);
  throw interrupted(signal.reason);
}

function ignore(): void {}
