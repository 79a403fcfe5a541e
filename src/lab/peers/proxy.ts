import { connect, type Socket } from "node:net";

/**
 * A proxy ends one connection and begins another: what either side's kernel says, probes included, goes no further than here. As
 * with many load balancers only data counts against the idle limit.
 *
 * @param idleMs 0: no limit.
 */
export function passOn(near: Socket, host: string, port: number, idleMs: number): void {
  const far = connect({ host, port, allowHalfOpen: true });
  near.pipe(far);
  far.pipe(near);
  const sides = [near, far];
  const idle =
    idleMs === 0
      ? null
      : setTimeout(() => {
          for (const side of sides) side.end();
        }, idleMs);
  for (const side of sides) {
    side.on("data", () => idle?.refresh());
    // One side's error is the other's end.
    side.on("error", () => {});
    side.on("close", () => {
      if (idle !== null) clearTimeout(idle);
      for (const other of sides) other.destroy();
    });
  }
}
