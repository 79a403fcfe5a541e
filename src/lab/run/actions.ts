import { DeadpeerError } from "../../errors.js";
import type { Settings } from "../../plan/settings.js";
import type { Heal } from "../faults.js";
import type { SettingsText, Step } from "../scenario/schema.js";
import type { Stage } from "./stage.js";

/** Does what a step says. A fault can be healed later, by the step's name. */
export async function act(stage: Stage, step: Step): Promise<void> {
  const fault = await startFault(stage, step);
  if (fault !== null) {
    stage.healers.set(step.name ?? `fault ${stage.healers.size + 1}`, fault);
    return;
  }
  const { network } = stage;
  if (step.heal !== undefined) await heal(stage, step.heal.fault);
  else if (step.crash !== undefined) await network.host(step.crash.host).crash();
  else if (step.reboot !== undefined) await network.reboot(step.reboot.host);
  else if (step.kill !== undefined) stage.program(step.kill.program).kill("SIGKILL");
  else if (step.stop !== undefined) stage.program(step.stop.program).kill("SIGSTOP");
  else if (step.continue !== undefined) stage.program(step.continue.program).kill("SIGCONT");
  else if (step.start !== undefined) await stage.start(step.start.program);
  else speak(stage, step);
}

async function startFault({ faults }: Stage, step: Step): Promise<Heal | null> {
  if (step.drop !== undefined) return faults.drop(step.drop, step.drop.share);
  if (step.reject !== undefined) return faults.reject(step.reject, step.reject.with);
  if (step.flap !== undefined) return faults.flap(step.flap, step.flap.down, step.flap.up);
  if (step.unplug !== undefined) return faults.unplug(step.unplug.host);
  if (step.linkDown !== undefined) return faults.linkDown(step.linkDown.host);
  if (step.removeAddress !== undefined) return faults.removeAddress(step.removeAddress.host);
  return null;
}

async function heal({ healers }: Stage, name: string): Promise<void> {
  const heal = healers.get(name);
  if (heal === undefined)
    throw new DeadpeerError("bad-scenario", `heal: "${name}" is no fault, or is healed already`);
  healers.delete(name);
  await heal();
}

/** What a peer does itself. */
function speak(stage: Stage, step: Step): void {
  if (step.write !== undefined) {
    const { program, ...what } = step.write;
    stage.program(program).tell({ do: "write", ...defined(what) });
  } else if (step.end !== undefined) {
    const { program, ...which } = step.end;
    stage.program(program).tell({ do: "end", ...defined(which) });
  } else if (step.destroy !== undefined) {
    const { program, ...which } = step.destroy;
    stage.program(program).tell({ do: "destroy", ...defined(which) });
  } else if (step.snapshot !== undefined) {
    const { program, ...which } = step.snapshot;
    stage.program(program).tell({ do: "snapshot", ...defined(which) });
  } else if (step.set !== undefined) {
    const { program, settings, ...which } = step.set;
    stage.program(program).tell({ do: "set", settings: settingsOf(settings), ...defined(which) });
  } else if (step.heartbeat !== undefined) {
    const { program, every, misses, ...which } = step.heartbeat;
    stage.program(program).tell({ do: "heartbeat", everyMs: every, misses, ...defined(which) });
  } else if (step.exchange !== undefined) {
    const { program, to, ...how } = step.exchange;
    stage.program(program).tell({ do: "exchange", to: stage.address(to), ...how });
  }
}

/** Without the fields that are there but undefined. */
type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };
function defined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
}

/** A scenario's settings as the rest of the house has them. */
export function settingsOf(text: SettingsText | undefined): Settings {
  const { idle, interval, count, userTimeout } = text ?? {};
  const keepalive =
    idle === undefined || interval === undefined || count === undefined
      ? null
      : { idleMs: idle, intervalMs: interval, count };
  return { keepalive, userTimeoutMs: userTimeout ?? 0 };
}
