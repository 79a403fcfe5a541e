// Reads what the first parked connection says, and fails with it in its hands.
import { parentPort, workerData } from "node:worker_threads";
import { receive } from "../../../../src/kernel/socket-io.js";
import type { AttendantData } from "../../../../src/server/parking/handback.js";
import { hand, Slots, slotOf, word } from "../../../../src/server/parking/slots.js";

const { memory, capacity } = workerData as AttendantData;
const slots = new Slots(capacity, memory);
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort?.postMessage("ready");
let given = slots.next();
while (given < 0) given = slots.next();
const slot = slotOf(given);
let length = -1;
while (length < 0) length = receive(slots.fd[slot] ?? -1, slots.room);
slots.control[word.handSlot] = slot;
slots.control[word.handGeneration] = slots.generation[slot] ?? 0;
slots.control[word.handLength] = length;
slots.control[word.hand] = hand.read;
throw new Error("a crash");
