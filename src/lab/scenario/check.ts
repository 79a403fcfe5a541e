import { type Problem, pathText, suggestion } from "./problem.js";
import type { Scenario, SettingsText } from "./schema.js";

/** What the schema cannot know: that names stand for something, and times go forward. null: all is well. */
export function checkReferences(scenario: Scenario): Problem | null {
  try {
    new Check(scenario).run();
    return null;
  } catch (problem) {
    if (problem instanceof Found) return problem.problem;
    throw problem;
  }
}

class Found extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.message);
    this.problem = problem;
  }
}

const processActions: ReadonlySet<string> = new Set(["kill", "stop", "continue", "start"]);

type Path = readonly (string | number)[];

class Check {
  readonly #scenario: Scenario;
  readonly #hosts: readonly string[];
  readonly #programs: readonly string[];
  readonly #connections: readonly string[];

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#hosts = Object.keys(scenario.hosts);
    this.#programs = Object.keys(scenario.programs);
    this.#connections = Object.values(scenario.programs).flatMap(({ connect }) => Object.keys(connect ?? {}));
  }

  run(): void {
    const { nat, subject, capture } = this.#scenario;
    if (this.#hosts.includes("router"))
      refuse(["hosts", "router"], "every network has a router already; give the host another name");
    nat?.inside.forEach((host, index) => this.#host(host, ["nat", "inside", index]));
    if (nat !== undefined && (nat.idle === undefined) === (nat.flows === undefined))
      refuse(["nat"], "a NAT forgets by time (idle) or by number (flows): give one of them");
    this.#programsAreWhole();
    if (subject !== undefined) this.#connection(subject, ["subject"]);
    capture?.forEach((host, index) => this.#host(host, ["capture", index]));
    this.#stepsAreInOrder();
    this.#expectationsKnowTheirNames();
  }

  #programsAreWhole(): void {
    for (const [name, program] of Object.entries(this.#scenario.programs)) {
      const path = ["programs", name];
      this.#host(program.host, [...path, "host"]);
      const kinds = (["listen", "connect", "command"] as const).filter((kind) => program[kind] !== undefined);
      if (kinds.length === 0) refuse(path, "has nothing to do: give it listen, connect or command");
      if (kinds.includes("command") && kinds.length > 1)
        refuse(path, `has command and ${kinds[0]}: a command does what it does`);
      if (program.listen?.to !== undefined) this.#host(program.listen.to, [...path, "listen", "to"]);
      if (
        program.listen?.as === "proxy" &&
        (program.listen.to === undefined || program.listen.toPort === undefined)
      )
        refuse([...path, "listen"], "a proxy needs to know where to pass on to: to and toPort");
      if (program.listen?.as === "chatter" && program.listen.every === undefined)
        refuse([...path, "listen", "every"], "is missing: how often a chatter writes");
      settingsAreWhole(program.listen?.settings, [...path, "listen", "settings"]);
      for (const [connection, { to, settings }] of Object.entries(program.connect ?? {})) {
        this.#host(to, [...path, "connect", connection, "to"]);
        settingsAreWhole(settings, [...path, "connect", connection, "settings"]);
      }
    }
    const twice = this.#connections.find((name, index) => this.#connections.indexOf(name) !== index);
    if (twice !== undefined) refuse(["programs"], `two connections are called "${twice}"`);
  }

  #stepsAreInOrder(): void {
    let before = 0;
    const named = new Set<string>();
    this.#scenario.steps.forEach((step, index) => {
      const path = ["steps", index];
      if (step.at < before) refuse([...path, "at"], "comes before the step above it; steps stand in order");
      if (step.at > this.#scenario.lasts) refuse([...path, "at"], "comes after the end (lasts)");
      before = step.at;
      if (step.heal !== undefined && !named.has(step.heal.fault))
        refuse(
          [...path, "heal", "fault"],
          `no step before it is called "${step.heal.fault}"${suggestion(step.heal.fault, [...named])}`,
        );
      for (const [action, details] of Object.entries(step)) {
        if (typeof details !== "object") continue;
        this.#names(details, [...path, action]);
        this.#isForPeers(action, details, [...path, action]);
        settingsAreWhole((details as { settings?: SettingsText }).settings, [...path, action, "settings"]);
      }
      for (const path of [step.drop, step.reject, step.flap])
        if (
          path !== undefined &&
          path.between === undefined &&
          path.from === undefined &&
          path.to === undefined &&
          path.port === undefined &&
          path.connection === undefined
        )
          refuse(
            ["steps", index],
            "says nothing about which packets: give from, to, between, port or connection",
          );
      if (step.name !== undefined) named.add(step.name);
    });
  }

  /** Only the lab's own programs can be told what to do; a command is started, stopped and killed. */
  #isForPeers(action: string, details: object, path: Path): void {
    const { program } = details as { readonly program?: string };
    if (program === undefined || processActions.has(action)) return;
    if (this.#scenario.programs[program]?.command !== undefined)
      refuse(
        [...path, "program"],
        `"${program}" is a command: it can be killed, stopped, continued and started`,
      );
  }

  #expectationsKnowTheirNames(): void {
    const steps = this.#scenario.steps.map(({ name }) => name).filter((name) => name !== undefined);
    this.#scenario.expect.forEach((expectation, index) => {
      const path = ["expect", index];
      const { since, between, count } = expectation;
      if (since !== undefined && !steps.includes(since))
        refuse([...path, "since"], `no step is called "${since}"${suggestion(since, steps)}`);
      if (between !== undefined && between[0] > between[1])
        refuse([...path, "between"], "ends before it begins");
      if (Array.isArray(count) && count[0] > count[1]) refuse([...path, "count"], "ends before it begins");
      for (const [kind, details] of Object.entries(expectation))
        if (typeof details === "object" && !Array.isArray(details)) this.#names(details, [...path, kind]);
    });
  }

  /** Every field that names a host, a program or a connection. */
  #names(details: object, path: Path): void {
    for (const [field, value] of Object.entries(details) as [string, unknown][]) {
      if (field === "between")
        (value as string[]).forEach((host, index) => this.#host(host, [...path, field, index]));
      if (typeof value !== "string") continue;
      const here = [...path, field];
      if (["host", "from", "to", "on"].includes(field)) this.#host(value, here);
      if (field === "program") this.#program(value, here);
      if (field === "connection") this.#connection(value, here);
    }
  }

  #host(name: string, path: Path): void {
    known("host", name, this.#hosts, path);
  }

  #program(name: string, path: Path): void {
    known("program", name, this.#programs, path);
  }

  /** Accepted connections are called accepted-1, accepted-2 … */
  #connection(name: string, path: Path): void {
    if (!/^accepted-\d+$/.test(name)) known("connection", name, this.#connections, path);
  }
}

function known(kind: string, name: string, all: readonly string[], path: Path): void {
  if (!all.includes(name)) refuse(path, `no ${kind} is called "${name}"${suggestion(name, all)}`);
}

function settingsAreWhole(settings: SettingsText | undefined, path: Path): void {
  if (settings === undefined) return;
  const given = [settings.idle, settings.interval, settings.count].filter((value) => value !== undefined);
  if (given.length !== 0 && given.length !== 3)
    refuse(path, "keepalive needs all of idle, interval and count, or none of them");
}

function refuse(path: Path, message: string): never {
  throw new Found({ path: pathText(path), message });
}
