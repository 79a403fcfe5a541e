/** What a signal ends. */
export interface Closable {
  close(): void;
}

const waiting = new WeakMap<AbortSignal, Set<Closable>>();

/**
 * Closes a thing when the signal fires. A signal gets one listener for all of them: programs give the same one to every socket,
 * and Node 20 warns of a leak from the eleventh listener on.
 */
export function closeOnAbort(signal: AbortSignal, thing: Closable): void {
  const present = waiting.get(signal);
  if (present !== undefined) {
    present.add(thing);
    return;
  }
  signal.addEventListener("abort", closeAll);
  waiting.set(signal, new Set([thing]));
}

/** Forgets a thing that is closed already; the last one takes the listener with it. */
export function forgetOnAbort(signal: AbortSignal, thing: Closable): void {
  const things = waiting.get(signal);
  if (things === undefined || !things.delete(thing) || things.size > 0) return;
  waiting.delete(signal);
  signal.removeEventListener("abort", closeAll);
}

function closeAll(this: AbortSignal): void {
  // Each forgets itself meanwhile, which a Set's iterator allows.
  for (const thing of waiting.get(this) ?? []) thing.close();
}
