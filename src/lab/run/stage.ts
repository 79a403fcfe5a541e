import { setTimeout as sleep } from "node:timers/promises";
import { DeadpeerError } from "../../errors.js";
import { listSockets } from "../../kernel/sock-diag.js";
import { Faults, type Heal } from "../faults.js";
import { startNat } from "../nat.js";
import { type Family, Network } from "../network.js";
import { patienceMs, Program, type ProgramEvent } from "../program.js";
import type { Scenario } from "../scenario/schema.js";
import { settingsOf } from "./actions.js";

/** Takes what programs say. */
export type Listener = (program: string, host: string, event: ProgramEvent) => void;

/** A scenario's hosts with its programs on them, ready for the first step. */
export class Stage implements AsyncDisposable {
  readonly scenario: Scenario;
  readonly family: Family;
  readonly network: Network;
  readonly faults: Faults;
  /** By the name of the step that made the fault. */
  readonly healers = new Map<string, Heal>();
  readonly #programs = new Map<string, Program>();
  readonly #ports = new Map<string, number>();
  readonly #listener: Listener;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    scenario: Scenario,
    family: Family,
    network: Network,
    listener: Listener,
    signal?: AbortSignal,
  ) {
    this.scenario = scenario;
    this.family = family;
    this.network = network;
    this.faults = new Faults(network, (connection) => this.#portOf(connection));
    this.#listener = listener;
    this.#signal = signal;
  }

  /** The hosts and the router, with nothing running yet. */
  static async build(
    scenario: Scenario,
    family: Family,
    listener: Listener = () => {},
    signal?: AbortSignal,
  ): Promise<Stage> {
    const plans = Object.fromEntries(
      Object.entries(scenario.hosts).map(([name, { sysctls }]) => [name, { sysctls: sysctls ?? {} }]),
    );
    const network = await Network.create(plans, signal === undefined ? {} : { signal });
    try {
      if (scenario.nat !== undefined) await startNat(network, scenario.nat);
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
    return new Stage(scenario, family, network, listener, signal);
  }

  /** Starts every program that does not start later; those that connect come last. Resolves when all stand. */
  async startAll(): Promise<void> {
    const atOnce = Object.entries(this.scenario.programs).filter(([, { starts }]) => starts === undefined);
    const callers = atOnce.filter(
      ([, { connect, connects }]) => connect !== undefined || connects !== undefined,
    );
    const listeners = atOnce.filter((entry) => !callers.includes(entry));
    // Processes take time to start, and a peer connects only when told; a command may do so at once.
    const ready = callers.map(([name, { command }]) => (command === undefined ? this.#launch(name) : null));
    await Promise.all(listeners.map(([name]) => this.start(name)));
    await Promise.all(
      callers.map(async ([name], index) => this.#instruct(name, await (ready[index] ?? this.#launch(name)))),
    );
  }

  /** Starts one program, and waits until it listens, or its connections stand. */
  async start(name: string): Promise<void> {
    await this.#instruct(name, await this.#launch(name));
  }

  program(name: string): Program {
    const program = this.#programs.get(name);
    if (program === undefined)
      throw new DeadpeerError(
        "bad-scenario",
        `the program ${name} starts later, and has not been started yet`,
      );
    return program;
  }

  /** A host's address in the family of this run. */
  address(host: string): string {
    return this.network.host(host).address(this.family);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.healers.values()].map((heal) => heal()));
    await this.network[Symbol.asyncDispose]();
  }

  async #launch(name: string): Promise<Program> {
    const spec = this.scenario.programs[name];
    if (spec === undefined) throw new RangeError(`no program is called ${name}`);
    const host = this.network.host(spec.host);
    const take = (event: ProgramEvent): void => {
      if (event.event === "connected") this.#ports.set(event.connection, Number(event.local.split(" ")[1]));
      this.#listener(name, spec.host, event);
    };
    const program =
      spec.command === undefined
        ? Program.peer(host, name, take)
        : Program.command(
            host,
            name,
            spec.command.map((word) => this.#fill(word)),
            take,
          );
    this.#programs.set(name, program);
    if (spec.command === undefined) await program.until("ready", ({ event }) => event === "ready");
    return program;
  }

  async #instruct(name: string, program: Program): Promise<void> {
    const spec = this.scenario.programs[name];
    if (spec?.command !== undefined) {
      await this.#commandStands(spec, program);
      return;
    }
    if (spec?.listen !== undefined) {
      const { port, as, settings, every, to, toPort, idle } = spec.listen;
      program.tell({
        do: "listen",
        port,
        as,
        ...(settings === undefined ? {} : { settings: settingsOf(settings) }),
        ...(every === undefined ? {} : { everyMs: every }),
        ...(to === undefined ? {} : { to: this.address(to) }),
        ...(toPort === undefined ? {} : { toPort }),
        ...(idle === undefined ? {} : { idleMs: idle }),
      });
      await program.until("listening", ({ event }) => event === "listening");
    }
    for (const [connection, { to, port, settings, halfOpen }] of Object.entries(spec?.connect ?? {})) {
      program.tell({
        do: "connect",
        connection,
        to: this.address(to),
        port,
        settings: settingsOf(settings),
        halfOpen: halfOpen ?? false,
      });
      await program.until(
        "connected",
        (event) => event.event === "connected" && event.connection === connection,
        (event) => event.event === "error" && event.connection === connection,
      );
    }
  }

  /** A command does not say that it is ready; its host's kernel does. */
  async #commandStands(spec: Scenario["programs"][string], program: Program): Promise<void> {
    const { listens, connects } = spec;
    const host = this.network.host(spec.host);
    const stands = (): boolean =>
      (listens === undefined ||
        listSockets({ states: ["LISTEN"], local: { port: listens } }, host.namespace).length > 0) &&
      (connects === undefined ||
        listSockets({ states: ["ESTABLISHED"], remote: { port: connects } }, host.namespace).length > 0);
    const deadline = performance.now() + patienceMs;
    while (!stands()) {
      if (program.ended || performance.now() > deadline) throw program.failure("ready");
      await sleep(20, undefined, { signal: this.#signal });
    }
  }

  #portOf(connection: string): number {
    const port = this.#ports.get(connection);
    if (port === undefined)
      throw new DeadpeerError("bad-scenario", `the connection ${connection} does not stand yet`);
    return port;
  }

  /** `{server}` is the address of the host called server. */
  #fill(word: string): string {
    return word.replaceAll(/\{([a-z][a-z0-9-]*)\}/g, (whole, host: string) =>
      this.network.hosts.has(host) ? this.address(host) : whole,
    );
  }
}
