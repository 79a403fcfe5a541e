import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import type { Family } from "../network.js";
import type { ProgramEvent } from "../program.js";
import type { Scenario, Step } from "../scenario/schema.js";
import { act } from "./actions.js";
import { agreements, deathsIn } from "./agreement.js";
import { evaluate } from "./evaluate.js";
import { KernelWatch } from "./kernel-watch.js";
import type { ScenarioResult } from "./result.js";
import { Stage } from "./stage.js";
import type { KernelEvent, LabEvent } from "./timeline.js";
import { WireCapture } from "./wire.js";
import { Wires } from "./wires.js";

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** A folder in which captures are kept. */
  readonly pcapFolder?: string;
  /** Called when all is over, with the hosts still standing; they go when it resolves. */
  readonly beforeEnd?: (stage: Stage) => Promise<void>;
  /** Called when the scenario could begin to be set up; resolves when it may. The function that it gives is called when it is. */
  readonly turn?: () => Promise<() => void>;
}

/**
 * Runs a scenario over one family and compares what was seen with what was expected. What goes wrong in the lab itself is a
 * failed result, too, with its `problem`.
 *
 * @throws DeadpeerError `aborted` if the signal fires; nothing is left behind then.
 * @example (await runScenario(findScenario("cut-off"), 4)).passed
 */
export async function runScenario(
  scenario: Scenario,
  family: Family,
  options: RunOptions = {},
): Promise<ScenarioResult> {
  const run = new Run(scenario, family, options);
  try {
    await run.perform();
  } catch (error) {
    if (options.signal?.aborted === true) throw interrupted(error);
    if (!(error instanceof DeadpeerError)) throw error;
    run.problem = error.message;
  }
  return run.result();
}

/** For whoever has ended a lab's hosts because its signal fired. */
export function interrupted(cause: unknown): DeadpeerError {
  return new DeadpeerError("aborted", "the lab was interrupted; its hosts are gone", { cause });
}

class Run {
  problem: string | null = null;
  readonly #scenario: Scenario;
  readonly #family: Family;
  readonly #options: RunOptions;
  readonly #began = performance.now();
  readonly #program: { readonly program: string; readonly host: string; readonly said: ProgramEvent }[] = [];
  readonly #lab: LabEvent[] = [];
  readonly #marks = new Map<string, number>();
  #startedAt = 0;
  /** What the end of the hosts does to the programs is no part of the scenario. */
  #over = false;
  #watch: KernelWatch | null = null;
  #wires: Wires | null = null;
  #pcaps: Record<string, string> = {};
  #hosts: ScenarioResult["hosts"] = [];

  constructor(scenario: Scenario, family: Family, options: RunOptions) {
    this.#scenario = scenario;
    this.#family = family;
    this.#options = options;
  }

  async perform(): Promise<void> {
    const { signal, turn } = this.#options;
    const done = await turn?.();
    let stage: Stage;
    try {
      const listen = (program: string, host: string, said: ProgramEvent): void => {
        if (!this.#over) this.#program.push({ program, host, said });
      };
      stage = await Stage.build(this.#scenario, this.#family, listen, signal);
    } catch (error) {
      done?.();
      throw error;
    }
    const folder = mkdtempSync(join(tmpdir(), `${stage.network.prefix}-`));
    try {
      await this.#perform(stage, folder, done);
      await this.#options.beforeEnd?.(stage);
    } finally {
      done?.();
      this.#watch?.[Symbol.dispose]();
      await stage[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    }
  }

  async #perform(stage: Stage, folder: string, settled?: () => void): Promise<void> {
    const { signal } = this.#options;
    const hosts = [...stage.network.hosts.values()];
    this.#hosts = hosts.map((host) => ({ name: host.role, address: host.address(this.#family) }));
    const captures = await Promise.all([
      Promise.all(
        [...new Set([...this.#captured(), ...this.#witnesses()])].map((name) =>
          WireCapture.start(stage.network.host(name), join(folder, `${name}.pcap`)),
        ),
      ),
      stage.startAll(),
    ]).then(([started]) => started);
    settled?.();
    const watch = new KernelWatch(hosts);
    this.#watch = watch;
    this.#startedAt = this.#timeZero();
    watch.begin(this.#startedAt);
    const lateMs = await this.#steps(stage);
    // What follows the last step gets its time also where the step came late.
    await this.#until(this.#scenario.lasts + lateMs);
    signal?.throwIfAborted();
    this.#over = true;
    watch[Symbol.dispose]();
    await Promise.all(captures.map((capture) => capture.stop()));
    this.#wires = await Wires.read(captures, this.#startedAt, {
      ...this.#names(stage),
      shown: new Set(this.#captured()),
    });
    this.#keep(captures);
  }

  /** @returns how late the latest step was. */
  async #steps(stage: Stage): Promise<number> {
    let lateMs = 0;
    for (const steps of atOnce(this.#scenario.steps)) {
      await this.#until(steps[0]?.at ?? 0);
      await Promise.all(
        steps.map(async (step) => {
          // When it begins: what it does may be seen before the lab itself gets on.
          const atMs = Date.now() - this.#startedAt;
          await act(stage, step);
          lateMs = Math.max(lateMs, Date.now() - this.#startedAt - step.at);
          if (step.name !== undefined) this.#marks.set(step.name, atMs);
          const { at: _, name, ...action } = step;
          const [[verb, details]] = Object.entries(action) as [[string, unknown]];
          this.#lab.push({ atMs, source: "lab", action: verb, name: name ?? null, details });
        }),
      );
    }
    return lateMs;
  }

  /** The moment in which all connections stood: that of the last one to say so. */
  #timeZero(): number {
    const times = this.#program.filter(({ said }) => said.event === "connected").map(({ said }) => said.at);
    return times.length === 0 ? Date.now() : Math.max(...times);
  }

  async #until(atMs: number): Promise<void> {
    const waitMs = this.#startedAt + atMs - Date.now();
    const { signal } = this.#options;
    if (waitMs > 0) await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
  }

  #subject(): string | null {
    const { subject, programs } = this.#scenario;
    return subject ?? Object.values(programs).flatMap(({ connect }) => Object.keys(connect ?? {}))[0] ?? null;
  }

  #subjectHost(): string {
    const { programs, hosts } = this.#scenario;
    const subject = this.#subject();
    const owner = Object.values(programs).find(
      ({ connect }) => subject !== null && connect !== undefined && subject in connect,
    );
    return owner?.host ?? Object.keys(hosts)[0] ?? "";
  }

  #captured(): readonly string[] {
    return this.#scenario.capture ?? [this.#subjectHost()];
  }

  /** Where programs are guarded: their verdicts are held against what the capture alone says there. A scenario may name fewer. */
  #witnesses(): readonly string[] {
    if (this.#scenario.capture !== undefined) return [];
    return Object.values(this.#scenario.programs)
      .filter(({ listen, connect }) => listen !== undefined || connect !== undefined)
      .map(({ host }) => host)
      .filter((host) => !this.#blind().has(host));
  }

  /** Hosts that a step cuts off from their own wire. */
  #blind(): ReadonlySet<string> {
    return new Set(
      this.#scenario.steps.flatMap(({ linkDown, unplug, removeAddress }) =>
        [linkDown, unplug, removeAddress].flatMap((fault) => (fault === undefined ? [] : [fault.host])),
      ),
    );
  }

  #names(stage: Stage): { hosts: Map<string, string>; connections: Map<string, string> } {
    const hosts = new Map<string, string>();
    for (const host of stage.network.hosts.values()) hosts.set(host.address(this.#family), host.role);
    const connections = new Map<string, string>();
    for (const { said } of this.#program)
      if (said.event === "connected") connections.set(said.local, said.connection);
    return { hosts, connections };
  }

  #keep(captures: readonly WireCapture[]): void {
    const folder = this.#options.pcapFolder;
    if (folder === undefined) return;
    mkdirSync(folder, { recursive: true });
    for (const { host, file } of captures) {
      const kept = join(folder, `${this.#scenario.name}-ipv${this.#family}-${host.role}.pcap`);
      copyFileSync(file, kept);
      this.#pcaps[host.role] = kept;
    }
  }

  #events(): LabEvent[] {
    const events: LabEvent[] = [...this.#lab, ...(this.#wires?.events ?? [])];
    for (const { program, host, said } of this.#program) {
      if (said.event === "ready") continue;
      const { at, ...rest } = said;
      events.push({ atMs: at - this.#startedAt, source: "program", host, program, ...rest });
    }
    for (const event of this.#watch?.events ?? []) events.push(this.#named(event));
    return events.sort((one, other) => one.atMs - other.atMs);
  }

  /** The kernel knows endpoints, the programs know whose they are. */
  #named(event: KernelEvent): KernelEvent {
    const names = this.#wires?.connections;
    return { ...event, connection: names?.get(event.local) ?? names?.get(event.remote) ?? null };
  }

  result(): ScenarioResult {
    const scenario = this.#scenario;
    const observed = this.#events();
    const deaths = deathsIn(observed);
    const death = deaths.find((one) => one.connection === this.#subject());
    const lateMs = this.#watch?.lateMs ?? 0;
    const expected =
      this.problem !== null || this.#watch === null || this.#wires === null
        ? []
        : evaluate(scenario, this.#family, {
            events: observed,
            marks: this.#marks,
            watch: this.#watch,
            wires: this.#wires,
            lateMs,
          }).concat(agreements(deaths, this.#wires, this.#blind()));
    const captured = this.#captured();
    const [drawn = ""] = captured.includes(this.#subjectHost()) ? [this.#subjectHost()] : captured;
    return {
      name: scenario.name,
      family: this.#family,
      title: scenario.title,
      belief: scenario.belief ?? null,
      outcome: scenario.outcome,
      passed: this.problem === null && expected.every(({ passed }) => passed),
      problem: this.problem,
      durationMs: Math.round(performance.now() - this.#began),
      startedAt: this.#startedAt,
      lastsMs: scenario.lasts,
      lateMs,
      discarded: null,
      hosts: this.#hosts,
      connections: Object.entries(scenario.programs).flatMap(([program, { host, connect }]) =>
        Object.entries(connect ?? {}).map(([name, { to, port, settings }]) => ({
          name,
          program,
          from: host,
          to,
          port,
          settings: settings ?? null,
        })),
      ),
      expected,
      observed,
      verdict: death?.verdict ?? null,
      wireVerdict:
        death === undefined
          ? null
          : (this.#wires?.ending(death.host, death.local, death.remote)?.verdict ?? null),
      pcap: this.#pcaps[drawn] ?? null,
      pcaps: this.#pcaps,
    };
  }
}

/** Steps of the same time are done side by side. */
function atOnce(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const group = groups.at(-1);
    if (group?.[0]?.at === step.at) group.push(step);
    else groups.push([step]);
  }
  return groups;
}
