import { once } from "node:events";
import { DeadpeerError } from "../errors.js";
import { Stage } from "../lab/run/stage.js";
import { findScenario } from "../lab/scenario/load.js";
import { sweep } from "../lab/sweep.js";
import { requireLabTools } from "../lab/tools.js";
import { nearest } from "../plan/nearest.js";
import { exitStatus } from "./exit.js";
import type { LabShellOptions } from "./lab.js";
import { note } from "./note.js";

/** The shell reads the terminal, so it stays in our session; Ctrl-C is for what runs in it. */
function ignore(): void {}

/** `deadpeer lab shell`: a scenario's hosts and connections, and a shell on one of them. */
export async function shell(name: string, { host, ipv6 }: LabShellOptions): Promise<void> {
  const scenario = findScenario(name);
  const names = Object.keys(scenario.hosts);
  const caller = Object.values(scenario.programs).find(({ connect }) => connect !== undefined);
  const where = host ?? caller?.host ?? names[0] ?? "";
  if (where !== "router" && !names.includes(where))
    throw new DeadpeerError(
      "bad-option",
      `--host: ${scenario.name} has no host "${where}"; did you mean "${nearest(where, names)}"? (${names.join(", ")}, router)`,
    );
  requireLabTools();
  await sweep();
  await using stage = await Stage.build(scenario, ipv6 === true ? 6 : 4);
  await stage.startAll();
  for (const one of stage.network.all)
    note(
      `${one.role} is ${stage.address(one.role)}${one.role === where ? ", you are here" : `: ip netns exec ${one.namespaceName} sh`}`,
    );
  const program = process.env["SHELL"] ?? "/bin/sh";
  process.on("SIGINT", ignore);
  try {
    const child = stage.network.host(where).spawn(program, [], { stdio: "inherit", detached: false });
    const end = (): void => void child.kill("SIGHUP");
    process.on("SIGTERM", end).on("SIGHUP", end);
    const [status] = (await once(child, "exit")) as [number | null];
    process.off("SIGTERM", end).off("SIGHUP", end);
    process.exitCode = status ?? exitStatus.done;
  } finally {
    process.off("SIGINT", ignore);
  }
}
