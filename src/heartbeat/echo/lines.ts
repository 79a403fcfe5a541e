import { isIP } from "node:net";

/** The version of the lines that `deadpeer echo` speaks (docs/nat.md). */
export const echoVersion = 1;
/** Where `deadpeer echo` listens, and `deadpeer nat` looks for it, unless told otherwise. */
export const defaultEchoPort = 7007;
/** A longer line is none. */
export const longestLine = 200;

/** What an echo server says first on each connection. */
export interface Greeting {
  readonly version: number;
  /** The connection's name on that server, which nobody else can guess. */
  readonly id: string;
  /** Where the connection comes from, as the server sees it. */
  readonly address: string;
  readonly port: number;
}

/** @example greetingLine({ version: 1, id: "6f1c…", address: "192.0.2.1", port: 40001 }) // "deadpeer-echo 1 6f1c… 192.0.2.1 40001\n" */
export function greetingLine({ version, id, address, port }: Greeting): string {
  return `deadpeer-echo ${version} ${id} ${address} ${port}\n`;
}

/** The greeting in a server's first line; null: another kind of server. Later versions may add words. */
export function parseGreeting(line: string): Greeting | null {
  const [name, version = "", id = "", address = "", port = ""] = line.split(" ");
  if (name !== "deadpeer-echo" || !/^\d{1,4}$/.test(version) || !/^[0-9a-f]{16,64}$/.test(id)) return null;
  if (isIP(address) === 0 || !/^\d{1,5}$/.test(port)) return null;
  return { version: Number(version), id, address, port: Number(port) };
}

/** Cuts a stream into lines, however they arrive, and keeps no more than one. */
export class LineReader {
  #kept = "";

  /** @returns false for a line that is too long: what follows is not to be trusted. */
  push(chunk: Buffer, take: (line: string) => void): boolean {
    let rest = chunk.toString("latin1");
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      const line = this.#kept + rest.slice(0, end);
      this.#kept = "";
      if (line.length > longestLine) return false;
      take(line.endsWith("\r") ? line.slice(0, -1) : line);
      rest = rest.slice(end + 1);
    }
    this.#kept += rest;
    return this.#kept.length <= longestLine;
  }
}
