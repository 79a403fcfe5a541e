import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";

/** The streams of an HTTP/2 connection that are being answered. */
export class HeldSession {
  readonly session: ServerHttp2Session;
  /** When a stream last began or ended. */
  movedMs: number;
  /** When one last began; before the first, the session. */
  openedMs: number;
  /** Its client's preface has come, which ends with its SETTINGS (RFC 9113 section 3.4). */
  #greeted = false;
  readonly #streams = new Set<ServerHttp2Stream>();
  readonly #nowMs: () => number;

  constructor(session: ServerHttp2Session, nowMs: () => number) {
    this.session = session;
    this.#nowMs = nowMs;
    this.movedMs = this.openedMs = nowMs();
    session.once("remoteSettings", () => (this.#greeted = true));
  }

  /** For how long its client's preface has been awaited; null: it has come. */
  get awaitingMs(): number | null {
    return this.#greeted ? null : this.#nowMs() - this.openedMs;
  }

  /** When its client was told that it ends; null: it was not. */
  announcedMs: number | null = null;

  add(stream: ServerHttp2Stream): void {
    if (stream.destroyed) return;
    this.#streams.add(stream);
    this.movedMs = this.openedMs = this.#nowMs();
    stream.once("close", () => {
      this.#streams.delete(stream);
      this.movedMs = this.#nowMs();
    });
  }

  /**
   * Until when streams may still come, after the notice: a client that has read it may have begun one before, and sends it later
   * (haproxy does). One that does not heed it at all is given half the time that there is.
   */
  welcomeUntilMs(quietMs: number, leaveByMs: number): number | null {
    if (this.announcedMs === null) return null;
    const quietAtMs = Math.max(this.announcedMs, this.openedMs) + quietMs;
    return Math.min(quietAtMs, (this.announcedMs + leaveByMs) / 2);
  }

  get open(): number {
    return this.#streams.size;
  }

  /** Bytes of responses that wait for the peer's windows. */
  get waiting(): number {
    let bytes = 0;
    for (const stream of this.#streams) bytes += stream.bufferSize;
    return bytes;
  }

  /**
   * More of a body is to come, and nothing but the client holds it up. One stream that the program does not read fills the window of
   * the whole connection (RFC 9113 section 5.2.1).
   */
  get uploading(): boolean {
    let uploading = false;
    for (const stream of this.#streams) {
      if (stream.endAfterHeaders || stream.readableEnded) continue;
      if (stream.isPaused() || stream.readableLength >= stream.readableHighWaterMark) return false;
      uploading = true;
    }
    return uploading;
  }
}
