import { readlinkSync } from "node:fs";
import type { OwnedFd } from "../../kernel/fd.js";
import type { SocketHolder } from "../../kernel/processes.js";
import type { Borrower } from "../borrower.js";

/** A socket and who holds it. */
export interface HeldSocket {
  readonly cookie: bigint;
  readonly inode: number;
  readonly holders: readonly SocketHolder[];
}

/** Why a socket cannot be had. `mptcp`: the program holds an MPTCP socket, of which the TCP connection is only a part. */
export type Unreached = "denied" | "gone" | "mptcp";

/** Borrows a socket from any of its holders; the caller closes it soon. */
export function reach(borrower: Borrower, { cookie, inode, holders }: HeldSocket): OwnedFd | Unreached {
  let why: Unreached = "gone";
  for (const { pid, fd } of holders) {
    const borrowed = borrower.borrow(pid, fd, cookie);
    if (typeof borrowed !== "string") return borrowed;
    if (borrowed === "denied") why = "denied";
    // An MPTCP socket has its connections' inode number, but a cookie of its own (mptcp_sock_graft).
    else if (why === "gone" && holdsInode(pid, fd, inode)) why = "mptcp";
  }
  return why;
}

function holdsInode(pid: number, fd: number, inode: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
  } catch {
    return false;
  }
}
