import { once } from "node:events";
import type { Stage } from "../lab/run/stage.js";
import { note } from "./note.js";

/** `--keep`: says how to enter the hosts, and leaves them standing until the signal. */
export async function keepUntilInterrupted(stage: Stage, signal: AbortSignal): Promise<void> {
  note(`${stage.scenario.name} over IPv${stage.family}: the hosts stay until Ctrl-C; enter them with`);
  for (const { namespaceName } of stage.network.all) note(`  ip netns exec ${namespaceName} sh`);
  if (!signal.aborted) await once(signal, "abort");
}
