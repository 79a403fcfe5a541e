import type { ConnectionDetection } from "../../host/connection.js";
import type { HeldSettings } from "../../host/repair/held.js";
import type { Repair } from "../../host/repair/repair.js";
import type { RepairedConnection } from "../../host/repair/round.js";

export function repairJson({ run, connections, hidden }: Repair, applied: boolean): unknown {
  return { run, applied, connections: connections.map(connectionJson), hidden };
}

/** Who it is, as in `ls --json`, and what was and is. */
export function connectionJson(repaired: RepairedConnection): unknown {
  const { connection, outcome, reason, before, after, detectionAfter } = repaired;
  const { family, local, remote, state, inode, uid, cookie, processes, netns } = connection;
  return {
    family,
    local,
    remote,
    state,
    inode,
    uid,
    cookie,
    processes,
    outcome,
    reason,
    before: settingsJson(before, connection.detection),
    after: settingsJson(after, detectionAfter),
    ...(netns === undefined ? {} : { netns }),
  };
}

function settingsJson(held: HeldSettings | null, detection: ConnectionDetection | null): unknown {
  return held === null ? null : { ...held, detection };
}
