/**
 * The most a kernel timer runs late, as a share of its wait. Linux keeps timers in a wheel (kernel/time/timer.c, since 4.8)
 * whose level n holds waits from 63·8^(n-1) ticks on and rounds them up to 8^n ticks, whatever HZ is. Measured on 6.18 with
 * HZ=250: a first probe due after 23 s went out up to 2 s late.
 */
const timerLateness = 8 / 63;

/** When a timer set for `waitMs` has fired at the latest. */
export function latestMs(waitMs: number): number {
  return waitMs * (1 + timerLateness);
}

/** The longest wait that has surely ended after `ms`: the other direction of `latestMs`. */
export function surelyOverAfterMs(ms: number): number {
  return ms / (1 + timerLateness);
}
