import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import type { ClusterFigures, GovernorPolicy } from "../../../src/server/index.js";

const program = fileURLToPath(new URL("programs/governed-cluster.js", import.meta.url));

export interface ClusterPlan {
  readonly host?: string;
  /** Whether the primary counts. Default: true. */
  readonly counting?: boolean;
  readonly scheduling?: "rr" | "none";
}

type Word =
  | { readonly port: number }
  | { readonly figures: ClusterFigures[] }
  | { readonly ended: number }
  | { readonly alone: string; readonly worker: number };

/** A cluster of two workers that govern one http server; it ends with the test. */
export class GovernedCluster implements AsyncDisposable {
  readonly #primary: ChildProcess;
  readonly #said: Word[] = [];
  #port = 0;

  private constructor(
    policy: GovernorPolicy,
    { host = "::", counting = true, scheduling = "rr" }: ClusterPlan,
  ) {
    const words = [JSON.stringify(policy), host, counting ? "primary" : "no-primary", scheduling];
    this.#primary = fork(program, words);
    this.#primary.on("message", (word: Word) => this.#said.push(word));
  }

  static async start(policy: GovernorPolicy, plan: ClusterPlan = {}): Promise<GovernedCluster> {
    const cluster = new GovernedCluster(policy, plan);
    cluster.#port = (await cluster.#hear((word): word is { port: number } => "port" in word)).port;
    return cluster;
  }

  get port(): number {
    return this.#port;
  }

  /** What the primary counts. */
  async figures(): Promise<ClusterFigures[]> {
    this.#primary.send("figures");
    return (await this.#hear((word): word is { figures: ClusterFigures[] } => "figures" in word)).figures;
  }

  /** Until a worker has said that it is alone. */
  async alone(): Promise<string> {
    return (await this.#hear((word): word is { alone: string; worker: number } => "alone" in word)).alone;
  }

  /** As a crash does, and waits until the primary has learned of it. */
  async kill(worker: number): Promise<void> {
    this.#primary.send(["kill", worker]);
    await this.#hear((word): word is { ended: number } => "ended" in word && word.ended === worker);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#primary.exitCode !== null || this.#primary.signalCode !== null) return;
    const ended = once(this.#primary, "exit");
    // Its workers end with their connection to it.
    this.#primary.kill("SIGKILL");
    await ended;
  }

  async #hear<W extends Word>(wanted: (word: Word) => word is W): Promise<W> {
    for (;;) {
      const index = this.#said.findIndex(wanted);
      if (index >= 0) return this.#said.splice(index, 1)[0] as W;
      await once(this.#primary, "message");
    }
  }
}

export interface Asked {
  readonly socket: Socket;
  /** The worker that has answered; null: the connection was not taken. */
  readonly worker: number | null;
}

/** Opens a connection, from an address, and asks for a path on it; it stays open. */
export async function ask(port: number, from: string, path = "/"): Promise<Asked> {
  const host = from.includes(":") ? "::1" : "127.0.0.1";
  const socket = connect({ port, host, localAddress: from });
  let said = "";
  const worker = await new Promise<number | null>((resolve) => {
    socket.on("error", () => {});
    socket.on("connect", () => socket.write(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`));
    socket.on("data", (chunk) => {
      said += chunk.toString();
      const body = /\r\n\r\n(?:[\da-f]+\r\n)?(\d+)/.exec(said)?.[1];
      if (body !== undefined) resolve(Number(body));
      // A proxy's, for a server that did not take its connection.
      if (/^HTTP\/1\.1 50\d/.test(said)) socket.destroy();
    });
    socket.on("close", () => resolve(null));
  });
  return { socket, worker };
}

/** So many, one after the other. */
export async function askTimes(times: number, port: number, from: string): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (let n = 0; n < times; n++) asked.push(await ask(port, from));
  return asked;
}

export function taken(asked: readonly Asked[]): Asked[] {
  return asked.filter(({ worker }) => worker !== null);
}

export function hangUp(asked: readonly Asked[]): void {
  for (const { socket } of asked) socket.destroy();
}
