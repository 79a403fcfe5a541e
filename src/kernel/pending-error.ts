import { SO_ERROR, SOL_SOCKET } from "./abi.js";
import { errnoName } from "./errno.js";
import { libc } from "./libc.js";

const value = Buffer.alloc(4);
const valueLength = Buffer.alloc(4);

/**
 * The name of the error that a socket's connection ended with and that nobody has been told yet. Asking is being told: there is
 * none the next time.
 *
 * @returns null: there is none, or no socket.
 * @example const errno = pendingError(fd); // "ECONNRESET"
 */
export function pendingError(fd: number): string | null {
  valueLength.writeUInt32LE(value.length);
  if (libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, value, valueLength) < 0) return null;
  const errno = value.readInt32LE();
  return errno === 0 ? null : errnoName(errno);
}
