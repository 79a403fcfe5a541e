import { SO_COOKIE, SOL_SOCKET } from "./abi.js";
import { libc } from "./libc.js";

const value = Buffer.alloc(8);
const valueLength = Buffer.alloc(4);

/**
 * A number that no other socket has while the machine runs, whatever descriptors it goes by.
 *
 * @returns null for what is no socket.
 * @example if (socketCookie(fd) !== cookie) throw new Error("another socket has this number by now");
 */
export function socketCookie(fd: number): bigint | null {
  valueLength.writeUInt32LE(value.length);
  return libc().getsockopt(fd, SOL_SOCKET, SO_COOKIE, value, valueLength) < 0
    ? null
    : value.readBigUInt64LE();
}
