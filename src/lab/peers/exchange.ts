import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Command } from "./protocol.js";
import { tell } from "./protocol.js";

type Exchange = Extract<Command, { do: "exchange" }>;

const question = Buffer.from("how are you?\n");

/** Asks an echo so many questions one after the other, over one connection or over one for each. */
export async function exchange({ to, port, times, connections }: Exchange): Promise<void> {
  const started = performance.now();
  const open = async (): Promise<Socket> => {
    const socket = connect({ host: to, port, noDelay: true });
    await once(socket, "connect");
    return socket;
  };
  let kept: Socket | null = null;
  for (let done = 0; done < times; done++) {
    const socket: Socket = kept ?? (await open());
    await ask(socket);
    if (connections === "one") kept = socket;
    else await close(socket);
  }
  if (kept !== null) await close(kept);
  tell({ event: "exchanged", times, connections, tookMs: Math.round(performance.now() - started) });
}

async function ask(socket: Socket): Promise<void> {
  socket.write(question);
  let missing = question.length;
  while (missing > 0) {
    const [data] = (await once(socket, "data")) as [Buffer];
    missing -= data.length;
  }
}

/** In order, and first: the one who ends first keeps TIME_WAIT (RFC 9293 section 3.6). */
async function close(socket: Socket): Promise<void> {
  const closed = once(socket, "close");
  socket.end();
  await closed;
}
