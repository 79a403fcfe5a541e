import type { Socket } from "node:net";
import { baseFd } from "../../src/guard/inner-socket.js";
import { SOL_SOCKET } from "../../src/kernel/abi.js";
import { check, libc } from "../../src/kernel/libc.js";

/** include/uapi/asm-generic/socket.h. */
const SO_LINGER = 13;

/** Ends a connection with a RST and nothing before it: `resetAndDestroy` says FIN first, and the other side may read that. */
export function reset(socket: Socket): void {
  const onAtOnce = Buffer.alloc(8);
  onAtOnce.writeInt32LE(1);
  check(libc().setsockopt(baseFd(socket), SOL_SOCKET, SO_LINGER, onAtOnce, onAtOnce.length), "setsockopt");
  socket.destroy();
}
