import { allNamespaces, type NetworkNamespace } from "../../kernel/namespaces.js";
import { DeadpeerError } from "../../errors.js";
import { type SocketHolders, socketHolders } from "../../kernel/processes.js";
import { listSockets } from "../../kernel/sock-diag.js";
import type { HeldSocket } from "./reach.js";
import type { RunEntry } from "./run.js";

/** Where a socket of a run is now. `gone`: it has ended. `unseen`: perhaps not, but its namespace may not be entered. */
export type Located = HeldSocket | "gone" | "unseen";

/** Names a socket for as long as the machine runs. */
export function keyOf({ netnsId, cookie }: Pick<RunEntry, "netnsId" | "cookie">): string {
  return `${netnsId} ${cookie}`;
}

/** Looks for the sockets of a run, whoever holds them now. */
export function locate(entries: readonly RunEntry[]): { located: Map<string, Located>; hidden: number } {
  const located = new Map<string, Located>();
  const { namespaces } = allNamespaces();
  const inodes = new Set<number>();
  const found = new Map<string, { cookie: bigint; inode: number }>();
  for (const netnsId of new Set(entries.map((entry) => entry.netnsId))) {
    const namespace = namespaces.find(({ id }) => id === netnsId);
    const wanted = new Set(entries.filter((entry) => entry.netnsId === netnsId).map(({ cookie }) => cookie));
    // The run came to it through a process that could be looked into, and while that lives the namespace is found.
    const listed = namespace === undefined ? [] : list(namespace);
    for (const cookie of wanted) located.set(keyOf({ netnsId, cookie }), listed === null ? "unseen" : "gone");
    for (const { cookie, inode } of listed ?? []) {
      // Without a process it can only end.
      if (inode === 0 || !wanted.has(String(cookie))) continue;
      inodes.add(inode);
      found.set(keyOf({ netnsId, cookie: String(cookie) }), { cookie, inode });
    }
  }
  const { holders, hidden }: SocketHolders =
    inodes.size === 0 ? { holders: new Map(), unreadable: 0, hidden: [] } : socketHolders({ inodes });
  for (const [key, { cookie, inode }] of found)
    located.set(key, { cookie, inode, holders: holders.get(inode) ?? [] });
  return { located, hidden: hidden.length };
}

/** null: it may not be entered. */
function list(namespace: NetworkNamespace): { cookie: bigint; inode: number }[] | null {
  try {
    return listSockets({}, namespace).map(({ cookie, inode }) => ({ cookie, inode }));
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    if (error.code === "no-namespace") return [];
    if (error.code === "permission-denied") return null;
    throw error;
  }
}
