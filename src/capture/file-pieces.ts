import { closeSync, readSync } from "node:fs";

/** Small enough to stay in a processor's cache between the kernel that fills it and the parser that reads it. */
const pieceBytes = 1 << 18;

/**
 * The rest of a file, piece by piece in one and the same buffer: each piece is valid until the next is asked for. A stream would
 * make a buffer for each, which costs more than reading them. Closes the descriptor.
 */
export async function* filePieces(fd: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(pieceBytes);
  try {
    for (let read = readSync(fd, buffer); read > 0; read = readSync(fd, buffer))
      yield buffer.subarray(0, read);
  } finally {
    closeSync(fd);
  }
}
