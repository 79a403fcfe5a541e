import { ProcessHandle } from "../../src/kernel/pidfd.js";
import { socketHolders } from "../../src/kernel/processes.js";
import { type DiagSocket, listSockets } from "../../src/kernel/sock-diag.js";
import { readSettings, type SocketSettings } from "../../src/kernel/socket-options.js";

/** An established connection at one moment. */
export interface Seen {
  readonly cookie: bigint;
  readonly pid: number;
  readonly settings: SocketSettings;
}

/** All connections to the far host that a process holds, by the port there. */
export type Look = ReadonlyMap<number, Seen>;

/** Reads the options back from the sockets themselves, each through a descriptor borrowed from whoever holds it. */
export function look(): Look {
  const sockets = establishedSockets();
  const { holders } = socketHolders({ inodes: new Set(sockets.map(({ inode }) => inode)) });
  const seen = new Map<number, Seen>();
  for (const { remote, inode, cookie } of sockets) {
    const [holder] = holders.get(inode) ?? [];
    if (holder === undefined) continue;
    using handle = ProcessHandle.open(holder.pid);
    using borrowed = handle.borrow(holder.fd, cookie);
    if (borrowed !== null)
      seen.set(remote.port, { cookie, pid: holder.pid, settings: readSettings(borrowed.fd) });
  }
  return seen;
}

/** The established connections of this thread's host, apart from those to itself. */
export function establishedSockets(): DiagSocket[] {
  return listSockets({ states: ["ESTABLISHED"] }).filter(({ remote }) => remote.address !== "127.0.0.1");
}
