import { visible } from "../../plan/visible.js";

/** How an answer's end is known (RFC 9112, section 6.3). */
export type Framing = "none" | "length" | "chunked" | "until-close";

/** One answer over HTTP/1, as far as it matters here: its body is counted, not kept. */
export interface Answer {
  /** Of HTTP/2 too, which fills in what it has. */
  readonly version: "1.0" | "1.1" | "2";
  readonly status: number;
  /** By lower-case name, each value in the order of arrival. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly framing: Framing;
  readonly bodyBytes: number;
  /** How many 1xx answers came before it. */
  readonly interim: number;
}

/** What an answer may not exceed, so that a hostile server cannot fill the memory or the time of who measures it. */
export const answerBounds = { headBytes: 65_536, lineBytes: 4_096, interim: 16 } as const;

type State = "head" | "body" | "chunk-size" | "chunk" | "chunk-end" | "trailers" | "until-close" | "done";

/** The answer cannot be read; the message says why, in words that follow "the server's answer". */
export class UnreadableAnswer extends Error {}

const newline = 0x0a;
/** With what each answer begins, whatever its version. */
const start = "HTTP/";

/**
 * Reads one answer over HTTP/1 from pieces of any size.
 *
 * Pure, and bounded by `answerBounds`.
 *
 * @example
 * const reader = new AnswerReader({ head: false });
 * reader.push(Buffer.from("HTTP/1.1 204 No Content\r\n\r\n"));
 * reader.answer?.status; // 204
 */
export class AnswerReader {
  readonly #head: boolean;
  #state: State = "head";
  /** The line that has begun. */
  #line: Buffer[] = [];
  #lineBytes = 0;
  #sectionBytes = 0;
  #lines: string[] = [];
  #interim = 0;
  #bodyBytes = 0;
  /** Of the body, or of the chunk. */
  #leftBytes = 0;
  #answer: Omit<Answer, "bodyBytes"> | null = null;

  /** @param head the request was HEAD: its answer has no body, whatever its headers say. */
  constructor({ head }: { readonly head: boolean }) {
    this.#head = head;
  }

  /** The whole answer; null: not whole yet. */
  get answer(): Answer | null {
    return this.#state === "done" ? this.begun : null;
  }

  /** The answer, its headers having been read; null: they have not. */
  get begun(): Answer | null {
    return this.#answer === null ? null : { ...this.#answer, bodyBytes: this.#bodyBytes };
  }

  /**
   * @returns how many bytes belong to this answer: fewer than were given once it is whole.
   * @throws UnreadableAnswer
   */
  push(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && this.#state !== "done") at += this.#step(bytes.subarray(at));
    return at;
  }

  /** The connection has ended: an answer without a length is whole then. */
  end(): void {
    if (this.#state === "until-close") this.#state = "done";
  }

  #step(bytes: Buffer): number {
    switch (this.#state) {
      case "body":
      case "chunk":
        return this.#countBody(bytes);
      case "until-close":
        this.#bodyBytes += bytes.length;
        return bytes.length;
      default:
        return this.#readLine(bytes);
    }
  }

  #countBody(bytes: Buffer): number {
    const taken = Math.min(bytes.length, this.#leftBytes);
    this.#leftBytes -= taken;
    this.#bodyBytes += taken;
    if (this.#leftBytes === 0) this.#state = this.#state === "chunk" ? "chunk-end" : "done";
    return taken;
  }

  #readLine(bytes: Buffer): number {
    const end = bytes.indexOf(newline);
    const piece = end < 0 ? bytes : bytes.subarray(0, end + 1);
    this.#lineBytes += piece.length;
    this.#sectionBytes += piece.length;
    const isHead = this.#state === "head" || this.#state === "trailers";
    if (this.#sectionBytes > answerBounds.headBytes) throw new UnreadableAnswer("has headers without end");
    if (!isHead && this.#lineBytes > answerBounds.lineBytes)
      throw new UnreadableAnswer("has a chunk size without end");
    this.#line.push(piece);
    if (this.#lineBytes - piece.length < start.length) this.#checkStart();
    if (end < 0) return piece.length;
    const text = Buffer.concat(this.#line)
      .toString("latin1")
      .replace(/\r?\n$/, "");
    this.#line = [];
    this.#lineBytes = 0;
    this.#takeLine(text);
    return piece.length;
  }

  /** Whoever speaks another protocol need not end its line, and waits for us to speak it too. */
  #checkStart(): void {
    if (this.#state !== "head" || this.#lines.length > 0) return;
    const bytes = Buffer.concat(this.#line);
    const text = bytes.toString("latin1");
    const isEmptyLine = /^\r?\n?$/.test(text);
    if (!isEmptyLine && !text.startsWith(start.slice(0, text.length)))
      throw new UnreadableAnswer(otherProtocol(bytes));
  }

  #takeLine(text: string): void {
    switch (this.#state) {
      case "chunk-size":
        this.#takeChunkSize(text);
        return;
      case "chunk-end":
        if (text !== "") throw new UnreadableAnswer("has a chunk that is longer than it says");
        this.#section("chunk-size");
        return;
      case "trailers":
        if (text === "") this.#state = "done";
        return;
      default:
        if (text !== "") this.#lines.push(text);
        // RFC 9112, section 2.2: empty lines before the first one are passed over.
        else if (this.#lines.length > 0) this.#takeHead();
    }
  }

  #takeChunkSize(text: string): void {
    const [, size] = /^([0-9a-fA-F]{1,12})\s*(?:;.*)?$/.exec(text) ?? [];
    if (size === undefined) throw new UnreadableAnswer("has a chunk size that is no number");
    this.#leftBytes = Number.parseInt(size, 16);
    this.#section(this.#leftBytes === 0 ? "trailers" : "chunk");
  }

  #section(next: State): void {
    this.#state = next;
    this.#sectionBytes = 0;
  }

  #takeHead(): void {
    const [first = "", ...fields] = this.#lines;
    this.#lines = [];
    this.#sectionBytes = 0;
    const [, version, status] = /^HTTP\/(1\.[01]) (\d{3})(?: .*)?$/.exec(first) ?? [];
    if (version === undefined || status === undefined)
      throw new UnreadableAnswer(`is not HTTP/1, but begins with ${quoted(first)}`);
    if (status === "101") throw new UnreadableAnswer("switches to another protocol unasked");
    if (status.startsWith("1")) {
      if (++this.#interim > answerBounds.interim) throw new UnreadableAnswer("never gets beyond 1xx");
      return;
    }
    const headers = readFields(fields);
    const [framing, lengthBytes] = framingOf(Number(status), headers, this.#head);
    this.#answer = {
      version: version as "1.0" | "1.1",
      status: Number(status),
      headers,
      framing,
      interim: this.#interim,
    };
    this.#leftBytes = lengthBytes;
    this.#state =
      framing === "until-close"
        ? "until-close"
        : framing === "chunked"
          ? "chunk-size"
          : lengthBytes > 0
            ? "body"
            : "done";
  }
}

/** What begins so instead of an answer; two are told by their first bytes. */
function otherProtocol(bytes: Buffer): string {
  // RFC 9113, section 3.4: a server's first frame is SETTINGS (type 4), of stream 0.
  if (bytes.length >= 9 && bytes[3] === 4 && bytes.readUInt32BE(5) === 0)
    return "is HTTP/2, which is measured over TLS only";
  // RFC 8446, section 5.1: an alert, which is how TLS takes plain text.
  if (bytes[0] === 21 && bytes[1] === 3) return "is a TLS alert; write https://";
  return `is not HTTP, but begins with ${quoted(bytes.toString("latin1").trimEnd())}`;
}

function quoted(text: string): string {
  return `"${visible(text.slice(0, 60))}"`;
}

function readFields(lines: readonly string[]): Map<string, string[]> {
  const headers = new Map<string, string[]>();
  let last: string[] | null = null;
  for (const line of lines) {
    // RFC 9112, section 5.2: a folded line goes on with the one before.
    if (/^[ \t]/.test(line) && last !== null) {
      last.push(`${last.pop() ?? ""} ${line.trim()}`);
      continue;
    }
    const [, name, value = ""] = /^([!#$%&'*+\-.^_`|~\w]+):(.*)$/.exec(line) ?? [];
    if (name === undefined) throw new UnreadableAnswer(`has a header that is none: ${quoted(line)}`);
    last = headers.get(name.toLowerCase()) ?? [];
    last.push(value.trim());
    headers.set(name.toLowerCase(), last);
  }
  return headers;
}

/** RFC 9112, section 6.3, in its order. */
function framingOf(
  status: number,
  headers: ReadonlyMap<string, readonly string[]>,
  head: boolean,
): [Framing, number] {
  if (head || status === 204 || status === 304) return ["none", 0];
  const encodings = tokensOf(headers, "transfer-encoding");
  if (encodings.length > 0) return encodings.at(-1) === "chunked" ? ["chunked", 0] : ["until-close", 0];
  const lengths = new Set(tokensOf(headers, "content-length"));
  if (lengths.size === 0) return ["until-close", 0];
  const [length = ""] = lengths;
  if (lengths.size > 1 || !/^\d{1,15}$/.test(length))
    throw new UnreadableAnswer(`has a Content-Length that is none: ${[...lengths].join(", ").slice(0, 60)}`);
  return ["length", Number(length)];
}

/**
 * A header's comma-separated words, in lower case.
 *
 * @example tokensOf(new Map([["connection", ["Keep-Alive, Upgrade"]]]), "connection") // ["keep-alive", "upgrade"]
 */
export function tokensOf(headers: ReadonlyMap<string, readonly string[]>, name: string): string[] {
  return (headers.get(name) ?? [])
    .flatMap((value) => value.split(","))
    .map((token) => token.trim().toLowerCase())
    .filter((token) => token !== "");
}

/** Whether the connection may be used again after this answer (RFC 9112, section 9.3). */
export function persistsAfter({ version, headers, framing }: Answer): boolean {
  if (version === "2") return true;
  const options = tokensOf(headers, "connection");
  if (framing === "until-close" || options.includes("close")) return false;
  return version === "1.1" || options.includes("keep-alive");
}
