import type { Inflater } from "./inflater.js";
import type { CaptureReader, Problem } from "./reader.js";

/** Bytes of a capture: a file's stream, stdin, or what is in memory already. */
export type CaptureSource = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * What to wait for before more flows are told of; null: nothing. Whoever writes them lets a slow reader hold everything up, instead
 * of keeping for it what there may be no room for.
 */
export type Pace = () => Promise<unknown> | null;

export const noPace: Pace = () => null;

/**
 * Pours a source into a reader, through gunzip if it begins like a gzip file (RFC 1952 section 2.3.1). Reads no faster than the
 * reader takes.
 *
 * @returns what was wrong with the end of the input.
 * @throws DeadpeerError `bad-capture`; whatever the source throws.
 */
export async function pour(
  source: CaptureSource,
  reader: CaptureReader,
  pace: Pace = noPace,
): Promise<Problem[]> {
  const intake = new Intake(reader);
  try {
    for await (const chunk of source instanceof Uint8Array ? [source] : source) {
      await intake.push(chunk);
      await pace();
    }
    return await intake.end();
  } finally {
    intake.close();
  }
}

/** Holds the first bytes back until they tell whether the rest is compressed. */
class Intake {
  readonly #reader: CaptureReader;
  #head: Uint8Array | null = new Uint8Array(0);
  #inflater: Inflater | null = null;

  constructor(reader: CaptureReader) {
    this.#reader = reader;
  }

  async push(chunk: Uint8Array): Promise<void> {
    let bytes = chunk;
    if (this.#head !== null) {
      bytes = this.#head.length === 0 ? chunk : Buffer.concat([this.#head, chunk]);
      this.#head = bytes.length < 2 ? bytes : null;
      if (this.#head !== null) return;
      if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
        // Loaded only for what is compressed: zlib costs every start.
        const { Inflater } = await import("./inflater.js");
        this.#inflater = new Inflater(this.#reader);
      }
    }
    if (this.#inflater === null) this.#reader.push(bytes);
    else await this.#inflater.push(bytes);
  }

  async end(): Promise<Problem[]> {
    if (this.#head !== null) this.#reader.push(this.#head);
    const cut = (await this.#inflater?.end()) ?? null;
    const problems = this.#reader.end();
    return cut === null || problems.length > 0 ? problems : [cut];
  }

  close(): void {
    this.#inflater?.close();
  }
}
