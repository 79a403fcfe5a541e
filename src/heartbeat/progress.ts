import type { Socket } from "node:net";
import { baseFd } from "../guard/inner-socket.js";
import { libcProblem } from "../kernel/libc.js";
import { readTcpInfo } from "../kernel/tcp-info.js";

interface Look {
  /** Bytes that wait on this side until the peer has room for them. */
  readonly waiting: number;
  /** A count that grows as the peer takes bytes. */
  readonly taken: number;
}

/**
 * Tells whether a peer takes what waits for it. Only what had waited counts: the kernel of a program that hangs still acknowledges
 * beats, as long as its buffer has room for them, and that proves nothing about the program.
 *
 * @returns a function that says whether the peer has taken something since it was last called.
 * @example const progressed = progressOf(socket);
 */
export function progressOf(socket: Socket): () => boolean {
  let last: Look | null = null;
  return () => {
    const now = look(socket);
    const before = last;
    last = now;
    return before !== null && before.waiting > 0 && now.taken > before.taken;
  };
}

function look(socket: Socket): Look {
  const queued = socket.writableLength;
  const kernel = kernelLook(baseFd(socket));
  // Off Linux, and without koffi: what Node itself has not been able to hand over.
  if (kernel === null) return { waiting: queued, taken: socket.bytesWritten - queued };
  return { waiting: queued + kernel.waiting, taken: kernel.taken };
}

function kernelLook(fd: number): Look | null {
  if (fd < 0 || libcProblem() !== null) return null;
  try {
    const { notsentBytes, bytesAcked } = readTcpInfo(fd);
    // Linux 4.6 and 4.1.
    return notsentBytes === null || bytesAcked === null ? null : { waiting: notsentBytes, taken: bytesAcked };
  } catch {
    return null;
  }
}
