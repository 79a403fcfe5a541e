import type { Writable } from "node:stream";
import type { Explanation, FlowReport } from "../../capture/index.js";

/** Text is handed on in pieces of about this size. */
const pieceLength = 1 << 16;

/**
 * Writes an explanation as JSON while the capture is still being read: a flow is forgotten once it is written. The flows come
 * first, since the counts are known last.
 */
export class JsonReport {
  readonly #out: Writable;
  #text = '{"flows":[';
  #flows = 0;

  constructor(out: Writable) {
    this.#out = out;
  }

  add(flow: FlowReport): void {
    this.#text += `${this.#flows++ === 0 ? "" : ","}\n${JSON.stringify(flow)}`;
    if (this.#text.length >= pieceLength) this.#hand();
  }

  end({ packets, skipped, skippedFor, startedAt, durationMs, problems }: Explanation): void {
    const rest = JSON.stringify({ packets, skipped, skippedFor, startedAt, durationMs, problems });
    this.#text += `\n],${rest.slice(1)}\n`;
    this.#hand();
  }

  #hand(): void {
    this.#out.write(this.#text);
    this.#text = "";
  }
}
