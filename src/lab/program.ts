import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { DeadpeerError } from "../errors.js";
import type { Host } from "./host.js";
import type { Command, PeerEvent } from "./peers/protocol.js";

const peer = fileURLToPath(new URL("peers/peer.js", import.meta.url));

/** What a program on a host did: a peer's own words, or a command's output and end. */
export type ProgramEvent =
  | PeerEvent
  | { readonly at: number; readonly event: "output"; readonly text: string }
  | {
      readonly at: number;
      readonly event: "exit";
      readonly code: number | null;
      readonly signal: string | null;
    };

/** Even a machine that is very busy has started a program by then. */
export const patienceMs = 20_000;

/** Told of everything that a program does. */
export type Take = (event: ProgramEvent) => void;

/** A process on a host of the lab, one of its own peers or any command. Its host ends it. */
export class Program {
  /** For messages. */
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #events: ProgramEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #ended = false;

  private constructor(name: string, child: ChildProcess, isPeer: boolean, take: Take) {
    this.name = name;
    this.#child = child;
    const hear = (event: ProgramEvent): void => {
      this.#events.push(event);
      take(event);
      for (const look of this.#waiting) look();
    };
    const printed = (text: string): void => hear({ at: Date.now(), event: "output", text });
    const { stdin, stdout, stderr } = child;
    // A peer that was killed reads no more.
    stdin?.on("error", () => {});
    if (stdout !== null)
      createInterface({ input: stdout }).on("line", (line) => {
        if (isPeer) hear(JSON.parse(line) as PeerEvent);
        else printed(line);
      });
    if (stderr !== null) createInterface({ input: stderr }).on("line", printed);
    child.once("error", (error) => {
      this.#ended = true;
      hear({ at: Date.now(), event: "failed", message: error.message });
    });
    child.once("exit", (code, signal) => {
      this.#ended = true;
      hear({ at: Date.now(), event: "exit", code, signal });
    });
  }

  /** Starts one of the lab's own peers. */
  static peer(host: Host, name: string, take: Take): Program {
    return Program.script(host, name, [peer], take);
  }

  /** Starts a program of the lab's own that speaks as peers do: its file, and its arguments. */
  static script(host: Host, name: string, script: readonly string[], take: Take): Program {
    // NODE_OPTIONS of the lab's own process (a debugger, a test runner's hooks) are not for its peers.
    const { NODE_OPTIONS: _, NODE_V8_COVERAGE: __, ...env } = process.env;
    return new Program(name, host.spawn(process.execPath, script, { stdio: "pipe", env }), true, take);
  }

  static command(host: Host, name: string, command: readonly string[], take: Take): Program {
    const [program = "", ...args] = command;
    return new Program(name, host.spawn(program, args, { stdio: "pipe" }), false, take);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get ended(): boolean {
    return this.#ended;
  }

  tell(command: Command): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /**
   * Waits for something that the program says, or has said.
   *
   * @throws DeadpeerError `lab-failed` if it ends before, says that it cannot, or takes too long.
   */
  async until(
    what: string,
    matches: (event: ProgramEvent) => boolean,
    fails: (event: ProgramEvent) => boolean = () => false,
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const end = (error: DeadpeerError | null): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        if (error === null) resolve();
        else reject(error);
      };
      const look = (): void => {
        if (this.#events.some(matches)) end(null);
        else if (this.#events.some((event) => isTrouble(event) || fails(event)))
          end(this.failure(what, fails));
      };
      const timer = setTimeout(() => end(this.failure(what)), patienceMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** The error for something that it was to do and did not, with its last words. */
  failure(what: string, fails: (event: ProgramEvent) => boolean = () => false): DeadpeerError {
    const trouble = this.#events.find((event) => isTrouble(event) || fails(event));
    const why = trouble === undefined ? `not within ${patienceMs / 1_000} s` : wordsFor(trouble);
    const said = this.#events.findLast(({ event }) => event === "output");
    const last = said?.event === "output" ? `; its last words: ${said.text}` : "";
    return new DeadpeerError("lab-failed", `the program ${this.name} was not ${what}: ${why}${last}`);
  }
}

function isTrouble({ event }: ProgramEvent): boolean {
  return event === "failed" || event === "exit";
}

function wordsFor(trouble: ProgramEvent): string {
  switch (trouble.event) {
    case "exit":
      return `it ended with ${trouble.signal ?? `status ${trouble.code}`}`;
    case "failed":
      return trouble.message;
    case "error":
      return `${trouble.connection} met ${trouble.errno}`;
    default:
      return trouble.event;
  }
}
