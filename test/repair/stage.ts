import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { CLONE_NEWNET } from "../../src/kernel/abi.js";
import { check, libc } from "../../src/kernel/libc.js";
import { inNamespace } from "../../src/kernel/namespaces.js";
import type { Host, Network } from "../../src/lab/index.js";
import type { Stage } from "../support/unmodified-programs.js";

/** Turns a program's command into the one that starts it in a certain way. */
export type Launcher = (command: readonly string[]) => readonly string[];

/** Everything that was started for a test of programs on two hosts; disposing of it ends it all. */
export class Cast implements AsyncDisposable {
  readonly #near: Host;
  readonly #far: Host;
  readonly #folder: string;
  readonly #children = new Set<ChildProcess>();
  readonly #servers: Server[] = [];
  readonly #accepted = new Set<Socket>();
  readonly #undo: (() => void)[] = [];
  #lastPort = 7_000;

  /** @param network with the hosts near and far. */
  constructor(network: Network, folder: string) {
    this.#near = network.host("near");
    this.#far = network.host("far");
    this.#folder = folder;
  }

  /** A stage on which programs are started in one way. */
  stage(launcher: Launcher): Stage {
    return {
      near: this.#near,
      far: this.#far,
      folder: this.#folder,
      start: (command) => this.#spawn(this.#near, launcher(command)),
      startFar: (command) => this.#spawn(this.#far, command),
      port: () => ++this.#lastPort,
      serve: (server) => this.#serve(server),
      after: (undo) => void this.#undo.push(undo),
    };
  }

  #spawn(host: Host, [program = "", ...args]: readonly string[]): ChildProcess {
    const child = host.spawn(program, args, { stdio: "pipe" });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    child.once("error", () => this.#children.delete(child));
    // Nobody may be left to read what is typed, or to listen to what is said.
    child.stdin?.on("error", () => {});
    child.stdout?.resume();
    child.stderr?.resume();
    return child;
  }

  #serve(server: Server): number {
    const port = ++this.#lastPort;
    // Without an address, for then Node opens the socket at once.
    inNamespace(this.#far.namespace, () => server.listen(port));
    this.#servers.push(server);
    server.on("connection", (socket: Socket) => {
      this.#accepted.add(socket);
      // The far side is not what is looked at, and dies in its own ways.
      socket.on("error", () => {});
      socket.once("close", () => this.#accepted.delete(socket));
    });
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.#undo) undo();
    const ended = [...this.#children].map((child) => once(child, "exit"));
    for (const child of this.#children) child.kill("SIGTERM");
    await Promise.all(ended);
    for (const server of this.#servers) server.close();
    for (const socket of this.#accepted) socket.destroy();
  }
}

/**
 * Moves this thread to a host for good: what Node connects a tick later is made there as well. For a test file of its own, which
 * is a process of its own.
 */
export function enter(host: Host): void {
  const namespace = openSync(host.namespace.path, "r");
  check(libc().setns(namespace, CLONE_NEWNET), "setns");
  closeSync(namespace);
}
