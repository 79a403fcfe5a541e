import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { type NetworkNamespace, namespaceAt } from "../../../src/kernel/namespaces.js";

/** [SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT] as the program itself reads them. */
export type Options = readonly [number, number, number, number, number];

const prelude = String.raw`
import json, os, socket, sys
S = socket
kept = []
def pair(family=S.AF_INET, address="127.0.0.1", protocol=0):
    l = S.socket(family, S.SOCK_STREAM, protocol); l.bind((address, 0)); l.listen(4096)
    c = S.socket(family, S.SOCK_STREAM, protocol); c.connect(l.getsockname())
    a, _ = l.accept()
    return l, c, a
def options(s):
    return [s.getsockopt(*o) for o in ((1, 9), (6, 4), (6, 5), (6, 6), (6, 18))]
def answer(line):
    print(json.dumps(eval(line)), flush=True)
if os.environ.get("OWN_NET"): os.system("ip link set lo up")
`;

/** A Python program that holds sockets, in a network of its own unless it is started by somebody else; it answers expressions. */
export class PythonSockets implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #ended: Promise<never>;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines;
    this.#ended = once(child, "exit").then(() => {
      throw new Error("the program has ended");
    });
    this.#ended.catch(() => {});
  }

  /**
   * @param making puts sockets into `kept`.
   * @param wrapper what starts python3.
   */
  static async hold(
    making: string,
    wrapper: readonly [string, ...string[]] = ["unshare", "--net"],
  ): Promise<PythonSockets> {
    const text = `${prelude}\n${making}\nprint("[]", flush=True)\nfor line in sys.stdin: answer(line)`;
    const child = spawn(wrapper[0], [...wrapper.slice(1), "python3", "-c", text], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...(wrapper[0] === "unshare" ? { OWN_NET: "1" } : {}) },
    });
    const sockets = new PythonSockets(
      child,
      createInterface({ input: child.stdout as NodeJS.ReadableStream }),
    );
    await sockets.#line();
    return sockets;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get namespace(): NetworkNamespace {
    return namespaceAt(`/proc/${this.pid}/ns/net`);
  }

  /** Has the program evaluate an expression. */
  async ask(expression: string): Promise<unknown> {
    const answer = this.#line();
    this.#child.stdin?.write(`${expression}\n`);
    return JSON.parse(await answer);
  }

  /** What each of the kept sockets holds. */
  async options(): Promise<Options[]> {
    return (await this.ask("[options(s) for s in kept]")) as Options[];
  }

  async #line(): Promise<string> {
    const [line] = (await Promise.race([once(this.#lines, "line"), this.#ended])) as [string];
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** The same for so many sockets. */
export function times(count: number, options: Options): Options[] {
  return Array.from({ length: count }, () => options);
}
