import { discardedWords, type ScenarioResult } from "../lab/run/result.js";
import type { Scenario } from "../lab/scenario/schema.js";
import { paint, terminalOf } from "./output.js";

/** One line for each run that ends; on a terminal also how many are still at it. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #running = 0;
  #ended = 0;
  #failed = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  begin(_scenario: Scenario, _family: number): void {
    this.#running++;
    this.#status();
  }

  /** One that was disturbed waits for its second turn, and will begin again. */
  again(): void {
    this.#running--;
    this.#status();
  }

  end(result: ScenarioResult): void {
    const { name, family, passed, durationMs } = result;
    this.#running--;
    this.#ended++;
    if (!passed) this.#failed++;
    this.#clear();
    const terminal = terminalOf(this.#stream);
    const mark = passed ? paint(terminal, "green", "passed") : paint(terminal, "red", "failed");
    this.#stream.write(`${mark}  ${name}, IPv${family} (${(durationMs / 1_000).toFixed(1)}s)\n`);
    const again = discardedWords(result);
    if (again !== null) this.#stream.write(`        ${again}\n`);
    this.#status();
  }

  close(): void {
    this.#clear();
  }

  #status(): void {
    if (!this.#stream.isTTY) return;
    const failed = this.#failed === 0 ? "" : `, ${this.#failed} failed`;
    this.#clear();
    this.#stream.write(`${this.#running} running, ${this.#ended} done${failed}`);
  }

  #clear(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\u001B[K");
  }
}
