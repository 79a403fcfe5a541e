import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";

/** The streams of an HTTP/2 connection that are being answered. */
export class HeldSession {
  readonly session: ServerHttp2Session;
  /** When a stream last began or ended. */
  movedMs: number;
  readonly #streams = new Set<ServerHttp2Stream>();
  readonly #nowMs: () => number;

  constructor(session: ServerHttp2Session, nowMs: () => number) {
    this.session = session;
    this.#nowMs = nowMs;
    this.movedMs = nowMs();
  }

  /** When its client was told that it ends; null: it was not. */
  announcedMs: number | null = null;

  add(stream: ServerHttp2Stream): void {
    if (stream.destroyed) return;
    this.#streams.add(stream);
    this.movedMs = this.#nowMs();
    stream.once("close", () => {
      this.#streams.delete(stream);
      this.movedMs = this.#nowMs();
    });
  }

  get open(): number {
    return this.#streams.size;
  }

  /** Something of a response waits for the peer's window. */
  get waiting(): boolean {
    for (const stream of this.#streams) if (stream.writableLength > 0 || stream.bufferSize > 0) return true;
    return false;
  }

  /** More of a body is to come, and the program reads it. */
  get uploading(): boolean {
    for (const stream of this.#streams)
      if (!stream.endAfterHeaders && !stream.readableEnded && !stream.isPaused()) return true;
    return false;
  }
}
