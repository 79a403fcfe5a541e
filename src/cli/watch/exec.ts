import { type ChildProcess, spawn } from "node:child_process";
import { note } from "../note.js";

/** Whoever is told of a death by mail or by chat takes a moment; that must not become a thousand at once. */
const mostAtOnce = 4;
/** Deaths may come faster than commands end. */
const mostWaiting = 1_000;
/** How long commands may still work off what they were to be told when the watch ends … */
const patienceMs = 5_000;
/** … and how long they may take to end once they are asked to. */
const graceMs = 2_000;
/** Of commands that fail alike, nobody reads more. */
const mostComplaints = 20;

/**
 * Runs a shell command for each of many texts, a few at a time, in the order in which they came. What commands print goes to
 * stderr; that one fails is said there, and is nobody else's concern.
 *
 * @example commands.run(`${JSON.stringify(obituary)}\n`)
 */
export class Commands {
  readonly #command: string;
  readonly #waiting: string[] = [];
  readonly #running = new Set<ChildProcess>();
  #started = 0;
  #failed = 0;
  #dropped = 0;
  #closed = false;
  #idle: (() => void) | null = null;

  constructor(command: string) {
    this.#command = command;
  }

  /** How many were not run because too many waited, or because the end came first. */
  get dropped(): number {
    return this.#dropped;
  }

  get started(): number {
    return this.#started;
  }

  get failed(): number {
    return this.#failed;
  }

  run(input: string): void {
    if (this.#closed || this.#waiting.length >= mostWaiting) {
      if (this.#dropped++ === 0) note(`--exec: the command takes too long; deaths are left out of it`);
      return;
    }
    this.#waiting.push(input);
    this.#next();
  }

  /** Lets what waits be worked off for a moment, then ends what still runs, with all that it has started. */
  async close(): Promise<void> {
    const left = this.#running.size + this.#waiting.length;
    if (left > 0) note(`--exec: ${left} still to be done; they have ${patienceMs / 1_000}s`);
    if (!(await this.#rest(patienceMs))) {
      this.#dropped += this.#waiting.splice(0).length;
      this.#kill("SIGTERM");
      if (!(await this.#rest(graceMs))) {
        this.#kill("SIGKILL");
        await this.#rest(graceMs);
      }
    }
    this.#closed = true;
  }

  #next(): void {
    while (this.#running.size < mostAtOnce) {
      const input = this.#waiting.shift();
      if (input === undefined) break;
      this.#start(input);
    }
    if (this.#running.size === 0) this.#idle?.();
  }

  #start(input: string): void {
    this.#started++;
    // A process group of its own: Ctrl-C at the terminal is for us, and what the shell has started can be ended with it. Nobody
    // but us writes to stdout.
    const child = spawn("/bin/sh", ["-c", this.#command], { stdio: ["pipe", 2, 2], detached: true });
    this.#running.add(child);
    // It need not read.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
    let over = false;
    const end = (problem: string | null): void => {
      if (over) return;
      over = true;
      this.#running.delete(child);
      if (problem !== null) this.#complain(problem);
      this.#next();
    };
    child.once("error", ({ message }) => end(`cannot be started: ${message}`));
    child.once("exit", (status, signal) =>
      end(status === 0 ? null : signal === null ? `ended with status ${status}` : `was ended by ${signal}`),
    );
  }

  #complain(problem: string): void {
    this.#failed++;
    if (this.#failed <= mostComplaints) note(`--exec: the command ${problem}`);
    if (this.#failed === mostComplaints) note("--exec: further failures are only counted");
  }

  #kill(signal: NodeJS.Signals): void {
    for (const { pid } of this.#running) {
      if (pid === undefined) continue;
      try {
        process.kill(-pid, signal);
      } catch {
        // It has ended this very moment.
      }
    }
  }

  /** @returns false: some still run when the time is over. */
  async #rest(ms: number): Promise<boolean> {
    if (this.#running.size === 0) return true;
    const timer = setTimeout(() => this.#idle?.(), ms);
    await new Promise<void>((resolve) => (this.#idle = resolve));
    clearTimeout(timer);
    this.#idle = null;
    return this.#running.size === 0;
  }
}
