import { persistsAfter } from "./answer-reader.js";
import type { Server } from "./server.js";

/** What a request costs on a new connection, and on one that stands: medians. */
export interface ReuseCost {
  readonly newMs: number;
  readonly reusedMs: number;
  /** Both ways, until the answer is there, closing not counted; null: the kernel cannot be asked. */
  readonly newPackets: number | null;
  readonly reusedPackets: number | null;
  readonly samples: number;
}

/**
 * Makes so many new connections with two requests on each.
 *
 * @returns null where no connection took both.
 */
export async function measureReuse(server: Server, samples: number): Promise<ReuseCost | null> {
  const { patienceMs, signal } = server.options;
  const found = { newMs: [] as number[], reusedMs: [] as number[] };
  const packets = { new: [] as number[], reused: [] as number[] };
  for (let sample = 0; sample < samples; sample++) {
    signal.throwIfAborted();
    const wire = await server.open();
    try {
      const first = await wire.exchange({ patienceMs });
      const firstPackets = wire.packets;
      if (first.fate !== "answered" || first.answer === null || !persistsAfter(first.answer)) continue;
      const second = await wire.exchange({ patienceMs });
      if (second.fate !== "answered") continue;
      found.newMs.push(first.settledMs - wire.beganMs);
      found.reusedMs.push(second.settledMs - second.beganMs);
      const allPackets = wire.packets;
      if (firstPackets === null || allPackets === null) continue;
      packets.new.push(firstPackets);
      packets.reused.push(allPackets - firstPackets);
    } finally {
      wire.close();
    }
  }
  const newMs = median(found.newMs);
  const reusedMs = median(found.reusedMs);
  if (newMs === null || reusedMs === null) return null;
  return {
    newMs,
    reusedMs,
    newPackets: median(packets.new),
    reusedPackets: median(packets.reused),
    samples: found.newMs.length,
  };
}

/** @returns null of nothing. */
function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
