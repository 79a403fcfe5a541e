import { spawnSync } from "node:child_process";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { OwnedFd } from "../../src/kernel/fd.js";
import { check, libc } from "../../src/kernel/libc.js";

export const asRoot = process.getuid?.() === 0;
/** For `test(name, { skip: needsRoot }, …)`. */
export const needsRoot = asRoot ? false : "needs root";

/** A TCP socket that Node knows nothing of. */
export function tcpSocket(family: 4 | 6): OwnedFd {
  return new OwnedFd(check(libc().socket(family === 4 ? 2 : 10, 1, 6), "socket"));
}

/** Runs a program to its end and gives its standard output; a failure is thrown with what it said. */
export function run(program: string, args: readonly string[], input = ""): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { input, encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: status ${status}: ${stderr}`);
  return stdout;
}

/** Runs Python with a descriptor of this process as its number 3, and reads the JSON that it prints. */
export function pythonOnSocket(fd: number, script: string): unknown {
  const { status, stdout, stderr } = spawnSync("python3", ["-c", script], {
    stdio: ["ignore", "pipe", "pipe", fd],
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`python3: status ${status}: ${stderr}`);
  return JSON.parse(stdout);
}

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the compiled src/ stands, for programs of their own. */
export const builtSource = new URL("../../src/", import.meta.url);

/** Runs a module's text in a Node of its own, where `src` is the URL of the compiled src/. `wrapper` is put before node. */
export function runModule(
  text: string,
  wrapper: readonly string[] = [],
  src: string = builtSource.href,
): Ended {
  const command = [
    ...wrapper,
    process.execPath,
    "--input-type=module",
    "--eval",
    `const src = ${JSON.stringify(src)};\n${text}`,
  ];
  const [program = "", ...args] = command;
  const { status, signal, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return { status, signal, stdout, stderr };
}

export interface Connection extends AsyncDisposable {
  readonly client: Socket;
  readonly accepted: Socket;
  readonly clientFd: number;
  readonly port: number;
}

/** A connection to oneself over loopback. */
export async function loopbackConnection(host = "127.0.0.1"): Promise<Connection> {
  const server: Server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host });
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(client, "connect")])) as [
    [Socket],
    unknown,
  ];
  return {
    client,
    accepted,
    clientFd: fdOf(client),
    port: (client.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      client.destroy();
      accepted.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** The descriptor behind a socket of Node. */
export function fdOf(socket: Socket): number {
  return (socket as unknown as Record<"_handle", { fd: number }>)["_handle"].fd;
}
