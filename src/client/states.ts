/**
 * What a long connection is doing:
 *
 * - `connecting`: to one of its addresses, hello included
 * - `online`
 * - `waiting`: before it tries again
 * - `closing`: sends what is left, wherever it stands, and then leaves
 * - `closed`: for good
 */
export type ConnectionState = "connecting" | "online" | "waiting" | "closing" | "closed";

/** From where to where it may go. */
const ways: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = {
  connecting: ["online", "waiting", "closing", "closed"],
  online: ["connecting", "waiting", "closing", "closed"],
  waiting: ["connecting", "closing", "closed"],
  closing: ["closed"],
  closed: [],
};

export function mayGo(from: ConnectionState, to: ConnectionState): boolean {
  return ways[from].includes(to);
}
