import { Socket } from "node:net";
import { DeadpeerError } from "../../errors.js";
import { guard } from "../../guard/guard.js";
import type { ReuseCount } from "./figures.js";
import type { KeepAliveSettings } from "./options.js";
import type { Origin } from "./origin.js";
import { tcpFacts } from "./tcp-facts.js";

/** Takes the time that TCP itself takes to connect, without the name and without TLS: where the kernel cannot be asked, one round trip. */
export function timeConnect(socket: unknown, settings: KeepAliveSettings): () => number | null {
  if (!(socket instanceof Socket)) return () => null;
  const { clock } = settings;
  let from: number | null = null;
  let tookMs: number | null = null;
  // Of several addresses the last is the one that connects.
  const onAttempt = (): void => {
    from = clock.monotonic();
  };
  socket.on("connectionAttempt", onAttempt);
  socket.once("connect", () => {
    socket.off("connectionAttempt", onAttempt);
    if (from !== null) tookMs = clock.monotonic() - from;
  });
  return () => tookMs;
}

/**
 * Counts a connection that has just been made, learns from it, and guards it.
 *
 * @param startedAt when it was asked for, on the monotonic clock.
 * @throws DeadpeerError as `guard` does, but for sockets that are not TCP: those have no peer that could vanish.
 */
export function connected(
  socket: Socket,
  origin: Origin,
  startedAt: number,
  connectMs: number | null,
  count: ReuseCount,
  settings: KeepAliveSettings,
): void {
  count.new += 1;
  origin.connected(settings.clock.monotonic() - startedAt);
  const roundTripMs = tcpFacts(socket)?.roundTripMs ?? connectMs;
  if (roundTripMs !== null) origin.roundTrip.add(roundTripMs);
  if (settings.tcp !== null) guardSocket(socket, origin.name, settings.tcp, settings);
}

/** @throws DeadpeerError as `guard` does, but for sockets that are not TCP. */
export function guardSocket(
  socket: Socket,
  origin: string,
  tcp: NonNullable<KeepAliveSettings["tcp"]>,
  { onVerdict, clock }: KeepAliveSettings,
): void {
  try {
    const guarded = guard(socket, tcp, { clock });
    if (onVerdict !== null) guarded.on("verdict", (verdict) => onVerdict(verdict, origin));
  } catch (error) {
    if (!(error instanceof DeadpeerError && error.code === "no-socket")) throw error;
  }
}
