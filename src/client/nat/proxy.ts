import { Connection } from "./connection.js";
import { nextLine } from "./lane.js";
import type { Address } from "./target.js";
import { wait } from "./wait.js";

/** Five probes of the kernel's or so. */
const probingMs = 5_500;

/**
 * Whether something between ends our TCP connection to an echo server and makes one of its own. The kernel's probes show it: a proxy
 * answers them itself, and the server receives only the segments that its own kernel was sent.
 *
 * @returns null: it cannot be told.
 * @throws DeadpeerError `cannot-connect`; whatever `signal` is aborted with.
 */
export async function isProxied(address: Address, signal: AbortSignal): Promise<boolean | null> {
  const connection = await Connection.open(address, signal);
  try {
    // The greeting.
    await nextLine(connection, signal);
    const before = await segments(connection, signal);
    connection.probe();
    await wait(probingMs, signal);
    const after = await segments(connection, signal);
    if (before === null || after === null) return null;
    // One or two more or less are acknowledgements that were put off, or lost.
    const sent = after.sent - before.sent;
    return sent - (after.received - before.received) > sent / 2;
  } finally {
    connection.close(false);
  }
}

async function segments(
  connection: Connection,
  signal: AbortSignal,
): Promise<{ readonly sent: number; readonly received: number } | null> {
  connection.write("segments");
  const received = /^segments (\d+)$/.exec((await nextLine(connection, signal)) ?? "")?.[1];
  const sent = connection.info()?.segmentsOut ?? null;
  return received === undefined || sent === null ? null : { sent, received: Number(received) };
}
