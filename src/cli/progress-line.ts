import { note } from "./note.js";
import { cutEnd, terminalOf } from "./output.js";

/** How far something has come: on a terminal a line that changes each second; elsewhere a line each minute, for a log. */
export class ProgressLine implements Disposable {
  readonly #stream: NodeJS.WriteStream;
  readonly #text: () => string | null;
  #timer: NodeJS.Timeout | null = null;

  /** @param text the line; null: nothing to say now. */
  constructor(stream: NodeJS.WriteStream, text: () => string | null) {
    this.#stream = stream;
    this.#text = text;
  }

  start(): void {
    this.#timer = setInterval(() => this.#show(), this.#stream.isTTY ? 1_000 : 60_000);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#clear();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #show(): void {
    const text = this.#text();
    if (text === null) return;
    this.#clear();
    if (this.#stream.isTTY) this.#stream.write(cutEnd(text, terminalOf(this.#stream).width - 1));
    else note(text);
  }

  #clear(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\u001B[K");
  }
}
