export type { Clock, ClockTimer, TimerClock } from "./clock.js";
export { Deadlines, type DeadlinesOptions } from "./deadlines.js";
export { TimerWheel, type TimerWheelOptions } from "./timer-wheel.js";
export { type Timer, Timers, type TimersOptions } from "./timers.js";
export { VirtualClock } from "./virtual-clock.js";
