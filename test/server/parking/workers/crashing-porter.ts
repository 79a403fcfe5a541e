// Accepts, and fails as soon as somebody is there who has said nothing yet.
import { parentPort, workerData } from "node:worker_threads";
import { Epoll } from "../../../../src/kernel/epoll.js";
import { Attendant } from "../../../../src/server/parking/attendant.js";
import type { AttendantData, Said } from "../../../../src/server/parking/handback.js";
import { Slots, word } from "../../../../src/server/parking/slots.js";

const { memory, capacity, epoll, ...terms } = workerData as AttendantData;
const slots = new Slots(capacity, memory);
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
const tell = (message: Said): void => parentPort?.postMessage(message);
const attendant = new Attendant({
  slots,
  epoll: new Epoll(epoll, 16),
  ...terms,
  now: () => performance.now(),
  handBack: tell,
  arrived: tell,
});
tell("ready");
while (!slots.fenced) {
  attendant.turn();
  if ((slots.control[word.greeting] ?? 0) > 0) throw new Error("a crash");
}
