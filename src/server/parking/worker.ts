// The attendant's thread. It never comes back to its event loop until it is fenced.
import { parentPort, workerData } from "node:worker_threads";
import { aheadOfMachineMs } from "../../kernel/clock.js";
import { Epoll } from "../../kernel/epoll.js";
import { Attendant } from "./attendant.js";
import type { AttendantData, Said } from "./handback.js";
import { Slots } from "./slots.js";

/** Events in one turn. */
const most = 1_024;

const { memory, capacity, epoll, zeroMs, ...terms } = workerData as AttendantData;
const slots = new Slots(capacity, memory);
// So both threads have one clock.
const aheadMs = zeroMs - aheadOfMachineMs(() => performance.now());
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
const tell = (message: Said): void => parentPort?.postMessage(message);
const attendant = new Attendant({
  slots,
  epoll: new Epoll(epoll, most),
  ...terms,
  now: () => performance.now() + aheadMs,
  handBack: tell,
  arrived: tell,
});
tell("ready");
while (!slots.fenced) attendant.turn();
