import { constants, createGunzip, type Gunzip } from "node:zlib";
import { DeadpeerError } from "../errors.js";
import type { CaptureReader, Problem } from "./reader.js";

/** Output of gunzip in one piece: large enough that the pieces' seams cost nothing. */
const inflatedChunkBytes = 256 * 1024;

/**
 * gunzip by hand: with a stream's async iterator a file that is cut off would also lose what was inflated from it just before.
 */
export class Inflater {
  readonly #gunzip: Gunzip;
  #failure: unknown = null;
  #taken = 0;

  constructor(reader: CaptureReader) {
    this.#gunzip = createGunzip({ chunkSize: inflatedChunkBytes, finishFlush: constants.Z_FINISH });
    this.#gunzip.on("error", (error: NodeJS.ErrnoException) => this.#fail(error));
    this.#gunzip.on("data", (bytes: Buffer) => {
      if (this.#failure !== null) return;
      try {
        reader.push(bytes);
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  async push(chunk: Uint8Array): Promise<void> {
    this.#taken += chunk.length;
    if (this.#isOver()) return;
    await this.#untilDone((done) => this.#gunzip.write(chunk, done));
    this.#throwUnlessCut();
  }

  /** @returns the problem, if the compressed file is cut off. */
  async end(): Promise<Problem | null> {
    // Its end is told by an event.
    if (!this.#isOver()) await this.#untilDone(() => this.#gunzip.end());
    this.#throwUnlessCut();
    return this.#failure === null
      ? null
      : { code: "truncated", message: `the compressed capture is cut off at byte ${this.#taken}` };
  }

  close(): void {
    this.#gunzip.destroy();
  }

  /** Damaged data ends in 'error', padding behind the data in 'end', and then the callback of a write is never called. */
  #untilDone(begin: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#gunzip.off("error", done).off("end", done);
        resolve();
      };
      this.#gunzip.once("error", done).once("end", done);
      begin(done);
    });
  }

  #isOver(): boolean {
    return this.#failure !== null || this.#gunzip.readableEnded;
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }

  #throwUnlessCut(): void {
    const failure = this.#failure;
    if (failure === null || (failure as NodeJS.ErrnoException).code === "Z_BUF_ERROR") return;
    if (failure instanceof DeadpeerError) throw failure;
    throw new DeadpeerError(
      "bad-capture",
      `the compressed capture is damaged before byte ${this.#taken}: ${(failure as Error).message}`,
      { cause: failure },
    );
  }
}
