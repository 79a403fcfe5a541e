import type { Socket } from "node:net";

/** Whoever is told that a socket is about to be destroyed. */
export interface DestroyListener {
  /** Its descriptor is still open: what became of the connection can be asked. */
  socketDestroyed(error: Error | null): void;
}

const listenerOf = Symbol("deadpeer destroy listener");
type Listened = Socket & { [listenerOf]?: DestroyListener };

/** The same as a guard does, for whoever has many sockets and an object for each anyway: one function for all, and no emitter. */
export function beforeDestroy(socket: Socket, listener: DestroyListener): void {
  const first = (socket as Listened)[listenerOf];
  (socket as Listened)[listenerOf] = first === undefined ? listener : inTurn(first, listener);
  if (first === undefined) socket._destroy = destroyTelling;
}

/** A socket that is held by a governor may be a heartbeat session's as well. */
function inTurn(first: DestroyListener, second: DestroyListener): DestroyListener {
  return {
    socketDestroyed(error) {
      first.socketDestroyed(error);
      second.socketDestroyed(error);
    },
  };
}

function destroyTelling(this: Listened, error: Error | null, done: (error?: Error | null) => void): void {
  this[listenerOf]?.socketDestroyed(error);
  (Object.getPrototypeOf(this) as Socket)._destroy.call(this, error, done);
}
