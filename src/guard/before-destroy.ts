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
  (socket as Listened)[listenerOf] = listener;
  socket._destroy = destroyTelling;
}

function destroyTelling(this: Listened, error: Error | null, done: (error?: Error | null) => void): void {
  this[listenerOf]?.socketDestroyed(error);
  (Object.getPrototypeOf(this) as Socket)._destroy.call(this, error, done);
}
