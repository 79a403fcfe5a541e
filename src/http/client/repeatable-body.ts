import type { Readable } from "node:stream";

/** A request's body, as often as the request is sent. */
export interface RepeatableBody {
  /** Whether it can be had once more. */
  readonly repeatable: boolean;
  /** What to send now. */
  next(): unknown;
  /** The request is over. */
  close(): void;
}

/**
 * Bytes, text and blobs can be sent as often as needed, and a function makes a body anew each time. What an iterable has given so far is
 * kept while it is short, which makes bodies of fetch() repeatable: those are iterables whatever the caller gave. A stream is
 * never sent again.
 */
export function repeatableBody(body: unknown): RepeatableBody {
  if (body === null || body === undefined) return noBody;
  if (typeof body === "function") return { repeatable: true, next: body as () => unknown, close: nothing };
  if (
    typeof body === "string" ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body) ||
    body instanceof Blob
  )
    return { repeatable: true, next: () => body, close: nothing };
  if (isAsyncGenerator(body)) return new KeptIterable(body);
  return { repeatable: false, next: () => body, close: nothing };
}

/**
 * A body that is made anew each time that its request is sent, for `request`, `stream` and `dispatch` over a dispatcher of
 * `createDispatcher`. (fetch() takes no functions, and undici's own dispatchers do not either; the type is what they would take.)
 *
 * @example await request(url, { dispatcher, method: "PUT", body: bodyFrom(() => createReadStream(path)) });
 */
export function bodyFrom(make: () => Readable | Uint8Array | string): Readable {
  return make as unknown as Readable;
}

function nothing(): void {}

const noBody: RepeatableBody = { repeatable: true, next: () => null, close: nothing };

/** As fetch() gives them. Node's streams are async iterables too, and FormData is iterable, but they are more than that. */
function isAsyncGenerator(body: unknown): body is AsyncGenerator<Uint8Array | string> {
  return Object.prototype.toString.call(body) === "[object AsyncGenerator]";
}

/** A request worth replaying is short; a long one would be kept in memory for nothing, as a rule. */
export const longestKept = 65_536;

class KeptIterable implements RepeatableBody {
  readonly #source: AsyncGenerator<Uint8Array | string>;
  /** From its start; null: it has grown too long to be kept. */
  #kept: (Uint8Array | string)[] | null = [];
  #keptBytes = 0;
  #pulling: Promise<IteratorResult<Uint8Array | string, unknown>> | null = null;

  constructor(source: AsyncGenerator<Uint8Array | string>) {
    this.#source = source;
  }

  get repeatable(): boolean {
    return this.#kept !== null;
  }

  /** Each starts with what the ones before have taken from the source, and goes on with the rest of it. */
  async *next(): AsyncGenerator<Uint8Array | string> {
    for (let index = 0; ; index++) {
      const kept = this.#kept?.[index];
      if (kept === undefined) {
        const { done, value } = await this.#pull();
        if (done === true) return;
        yield value;
      } else yield kept;
    }
  }

  close(): void {
    this.#kept = null;
    // A source that still has something to give is told that nobody wants it; one that has ended does not mind.
    this.#source.return(undefined).catch(nothing);
  }

  /** The source's next chunk: the same for an attempt that failed while it waited and for the one that has taken its place. */
  #pull(): Promise<IteratorResult<Uint8Array | string, unknown>> {
    this.#pulling ??= this.#source.next().then(
      (result) => {
        this.#pulling = null;
        if (result.done !== true) this.#keep(result.value);
        return result;
      },
      (error: unknown) => {
        this.#pulling = null;
        throw error;
      },
    );
    return this.#pulling;
  }

  #keep(chunk: Uint8Array | string): void {
    if (this.#kept === null) return;
    this.#keptBytes += chunk.length;
    if (this.#keptBytes > longestKept) this.#kept = null;
    // Copied, for whoever gave it may write into it again.
    else this.#kept.push(typeof chunk === "string" ? chunk : new Uint8Array(chunk));
  }
}
