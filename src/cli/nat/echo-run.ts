import { formatEndpoint } from "../../client/nat/target.js";
import { DeadpeerError } from "../../errors.js";
import { EchoServer } from "../../server/echo/echo-server.js";
import { note } from "../note.js";
import { wholeNumber } from "../whole-number.js";

/** What commander makes of the command line. */
export interface EchoCommandOptions {
  readonly port: string;
  readonly listen?: string;
}

/** `deadpeer echo`: serves until it is told to end, which is how it ends well. */
export async function run({ port: text, listen }: EchoCommandOptions): Promise<void> {
  const port = wholeNumber(text, "--port");
  if (port > 65_535)
    throw new DeadpeerError("bad-option", `--port ${text} is not a port; ports go from 0 to 65535`);
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  await using server = await EchoServer.listen({ port, address: listen ?? null });
  const { address, port: given } = server.address;
  note(`listening on ${formatEndpoint(address, given)}; Ctrl-C ends it`);
  await ended;
}
