// Echo on io_uring from TypeScript: multishot accept, multishot recv into provided buffers, sends out of the same ones.
//
//   node echo-uring.js PORT
//
// Says "ready", or why the kernel does not allow it, and ends with 3 then.
import { createServer } from "node:net";
import { once } from "node:events";
import { listeningFd } from "../../src/guard/inner-socket.js";
import { noDelay } from "../../src/kernel/accept.js";
import {
  addressOf,
  type BufferRing,
  completionFlag,
  multishot,
  operation,
  Ring,
  submissionFlag,
} from "./uring.js";

const buffers = 4_096;
const bufferBytes = 2_048;
const group = 1;
/** MSG_DONTWAIT and MSG_NOSIGNAL: an answer that is not taken at once fails, and needs no buffer any more. */
const atOnce = 0x4040;
const accepting = -1;
const answering = -2;

const listener = createServer().listen(Number(process.argv[2]), "127.0.0.1", 4_096);
await once(listener, "listening");
const fd = listeningFd(listener);
noDelay(fd);
const memory = new ArrayBuffer(buffers * bufferBytes);
const start = addressOf(memory);
const { ring, free } = open();
for (let number = 0; number < buffers; number++) free.give(number, start + number * bufferBytes, bufferBytes);
free.publish();
ring.queue(operation.accept, fd, accepting, { shots: multishot.accept, messageFlags: 0o4000 });
console.log("ready");
// It never comes back to Node's loop, as a parking worker does not.
const used: number[] = [];
for (;;) {
  ring.enter(1);
  // Answers went out on the way in, or failed for good: their buffers are free.
  for (const number of used) free.give(number, start + number * bufferBytes, bufferBytes);
  if (used.length > 0) free.publish();
  used.length = 0;
  ring.take(completed);
}

function open(): { ring: Ring; free: BufferRing } {
  try {
    const ring = new Ring(4_096);
    return { ring, free: ring.registerBuffers(buffers, group) };
  } catch (error) {
    console.log((error as Error).message);
    return process.exit(3);
  }
}

function completed(data: number, result: number, flags: number): void {
  if (data === accepting) {
    if (result >= 0) listen(result);
    if ((flags & completionFlag.more) === 0)
      ring.queue(operation.accept, fd, accepting, { shots: multishot.accept, messageFlags: 0o4000 });
    return;
  }
  // Only failures are told: whoever does not take an answer does not get it.
  if (data === answering) return;
  if (result > 0) {
    const number = flags >>> 16;
    ring.queue(operation.send, data, answering, {
      flags: submissionFlag.skipSuccess,
      address: start + number * bufferBytes,
      length: result,
      messageFlags: atOnce,
    });
    used.push(number);
  }
  // No buffer was free, or the connection is at its end, which the experiment leaves to the end of the process.
  if ((flags & completionFlag.more) === 0 && (result > 0 || result === -105)) listen(data);
}

function listen(to: number): void {
  ring.queue(operation.receive, to, to, {
    flags: submissionFlag.bufferSelect,
    shots: multishot.receive,
    group,
  });
}
