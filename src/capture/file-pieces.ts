import { close, read } from "node:fs";
import { promisify } from "node:util";

const pieceBytes = 1 << 19;

const readFrom = promisify(read);
const closeFile = promisify(close);

/**
 * The rest of a file, piece by piece in two buffers that take turns: while one piece is looked at, Node's thread pool reads the next.
 * Each piece is valid until the next is asked for. A stream would make a buffer for each, which costs more than reading them.
 * Closes the descriptor.
 */
export async function* filePieces(fd: number): AsyncGenerator<Uint8Array> {
  let buffer = Buffer.allocUnsafeSlow(pieceBytes);
  let other = Buffer.allocUnsafeSlow(pieceBytes);
  let reading = ahead(fd, buffer);
  try {
    for (;;) {
      const bytesRead = await reading;
      if (bytesRead === 0) return;
      const piece = buffer.subarray(0, bytesRead);
      [buffer, other] = [other, buffer];
      reading = ahead(fd, buffer);
      yield piece;
    }
  } finally {
    // Also one that nobody waits for any more: the descriptor's number may soon be another file's.
    await reading.catch(() => {});
    await closeFile(fd);
  }
}

/** Reads what may fail before anybody waits for it; whoever does then is told still. */
function ahead(fd: number, buffer: Buffer): Promise<number> {
  const reading = next(fd, buffer);
  reading.catch(() => {});
  return reading;
}

async function next(fd: number, buffer: Buffer): Promise<number> {
  return (await readFrom(fd, buffer, 0, pieceBytes, null)).bytesRead;
}
