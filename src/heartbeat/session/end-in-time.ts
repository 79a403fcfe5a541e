import type { TimerClock } from "../../time/clock.js";
import { timersOf } from "../../time/timers.js";
import type { Wire } from "./wire.js";

/** So long the other side may take to read a goodbye. */
export const lingerMs = 2_000;

/**
 * Ends a wire in order, and for good where that takes too long: a peer that never closes, or goes on sending, would otherwise keep the
 * socket for ever.
 *
 * @example wire.send(bye); endInTime(wire, clock);
 */
export function endInTime(wire: Wire, clock: TimerClock): void {
  const { socket } = wire;
  wire.end();
  if (socket === null || socket.destroyed) return;
  const timer = timersOf(clock).timer(() => socket.destroy());
  timer.set(lingerMs);
  socket.once("close", () => timer.close());
}
