import type { Answer } from "./answer-reader.js";

/** How a connection ended, unless by us, and when on the monotonic clock: by the kernel's where it can be asked. */
export interface WireEnd {
  readonly by: "fin" | "rst" | "failed";
  readonly atMs: number;
  /** HTTP/2: a GOAWAY came before it, after which requests that crossed it can be sent again without harm. */
  readonly announced: boolean;
}

/** What became of a request. */
export type Fate =
  | "answered"
  /** A reset came instead of the answer. */
  | "reset"
  /** The server closed the connection in order instead. */
  | "closed"
  /** Nothing came within the time. */
  | "lost"
  /** The answer ended before its end. */
  | "broken-off"
  /** What came is no answer. */
  | "unreadable";

export interface Exchange {
  readonly fate: Fate;
  /** As far as it was read; whole where the fate is "answered". */
  readonly answer: Answer | null;
  /** Of an unreadable answer, in words that follow "the server's answer"; of a reset that is HTTP/2's, that follow "the server". */
  readonly problem: string | null;
  /** On the monotonic clock: before the request was written, and when it was settled. */
  readonly beganMs: number;
  readonly settledMs: number;
  /** When the last bytes of the answer arrived: by the kernel's clock, which is right to some milliseconds even where we are late to read. */
  readonly arrivedMs: number;
}

export interface ExchangeOptions {
  readonly version?: "1.0" | "1.1";
  /** The Connection header; as a rule "keep-alive", without which Apache keeps its Keep-Alive header to itself. */
  readonly connection?: "close" | "keep-alive" | "none";
  /** For how long an answer is waited for. */
  readonly patienceMs: number;
}

/** Packets of a connection so far, both ways, as the kernel counts them; null: it cannot be asked. */
export type Packets = number | null;

/** One connection to the server under measurement, whose every byte, FIN and RST is seen. */
export interface Wire {
  readonly protocol: "HTTP/1.1" | "HTTP/2";
  /** When its connect(2) began, on the monotonic clock. */
  readonly beganMs: number;
  readonly end: WireEnd | null;
  /** An end that the kernel has received and Node has not told of, yet or ever (HTTP/2 sessions pass over a FIN); null: none. */
  readonly untoldEnd: WireEnd | null;
  /** Resolves when the other side ends it; never rejects. */
  readonly ended: Promise<WireEnd>;
  /** Bytes that came without having been asked for. */
  readonly unaskedBytes: number;
  readonly packets: Packets;
  readonly rttMs: number | null;
  /** Sends a request, and waits for what becomes of it; one at a time. Never rejects. */
  exchange(options: ExchangeOptions): Promise<Exchange>;
  /** Sends a request after the other side has closed; null: this protocol leaves no way to. */
  knock(patienceMs: number): Promise<"reset" | "lost"> | null;
  /** Harmless when repeated. */
  close(): void;
}
