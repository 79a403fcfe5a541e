import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Order, Word } from "./ledger.js";

type Said<Is extends Word["is"]> = Extract<Word, { readonly is: Is }>;

/** One of a mixed load's processes, until it ends or is killed. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #file: string;
  readonly #said: Word[] = [];
  #wake: () => void = () => {};

  /** @param file beside this one. */
  constructor(file: string, args: readonly string[]) {
    this.#file = file;
    this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), [...args], {
      execArgv: ["--enable-source-maps"],
      serialization: "advanced",
    });
    this.#child.on("message", (word: Word) => {
      this.#said.push(word);
      this.#wake();
    });
    this.#child.on("exit", () => this.#wake());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get #over(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The next word of that kind, which nobody has heard yet. */
  async next<Is extends Word["is"]>(is: Is): Promise<Said<Is>> {
    for (;;) {
      const failed = this.#said.find((word) => word.is === "failed");
      if (failed !== undefined) throw new Error(`${this.#file}: ${failed.problem}`);
      const index = this.#said.findIndex((word) => word.is === is);
      if (index >= 0) return this.#said.splice(index, 1)[0] as Said<Is>;
      if (this.#over) throw new Error(`${this.#file} ended with ${this.#child.exitCode} before "${is}"`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async ask<Is extends Word["is"]>(order: Order, is: Is): Promise<Said<Is>> {
    this.tell(order);
    return await this.next(is);
  }

  tell(order: Order): void {
    this.#child.send(order);
  }

  /** As if it had crashed. */
  async kill(): Promise<void> {
    if (this.#over) return;
    const exit = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exit;
  }

  /** Lets go of it. @returns with which status it ends by itself. */
  async release(): Promise<number | null> {
    const exit = once(this.#child, "exit");
    this.#child.disconnect();
    if (!this.#over) await exit;
    return this.#child.exitCode;
  }

  /** Its descriptors as the kernel has them. */
  descriptors(): { readonly all: number; readonly sockets: number } {
    const folder = `/proc/${this.pid}/fd`;
    const targets = readdirSync(folder).map((fd) => {
      try {
        return readlinkSync(`${folder}/${fd}`);
      } catch {
        // Closed since.
        return "";
      }
    });
    return {
      all: targets.filter((target) => target !== "").length,
      sockets: targets.filter((target) => target.startsWith("socket:")).length,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
