import { orphanedWatches, livingWatches, sweepWatches } from "../../host/watch/sweep.js";
import { ownershipOf } from "../../kernel/owned-names.js";
import type { Search } from "./trace.js";

/** Trace instances of watches. */
export const watches: Search = {
  subject: "watches",
  look: () => ({
    leftovers: orphanedWatches().map((name) => ({
      what: "trace instance",
      name,
      why: "its watch has ended",
      remove: () => void sweepWatches(),
    })),
    kept: livingWatches().map((name) => {
      const { pid = 0, owner } = ownershipOf(name) ?? {};
      return {
        what: "watch",
        name,
        why:
          owner === "alive"
            ? `process ${pid} uses it`
            : "its process is in another PID namespace, perhaps a container's",
        undo: owner === "alive" ? `kill ${pid}` : null,
      };
    }),
  }),
};
