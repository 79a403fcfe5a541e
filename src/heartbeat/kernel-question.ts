import type { Socket } from "node:net";
import { baseFd } from "../guard/inner-socket.js";
import { libcProblem } from "../kernel/libc.js";
import { readSettings, type SocketSettings, writeSettings } from "../kernel/socket-options.js";
import { readTcpInfo } from "../kernel/tcp-info.js";

/**
 * A probe a second, the first at once: setting TCP_KEEPIDLE last sends it if the silence is already longer
 * (tcp_sock_set_keepidle_locked). So many that the heartbeat gives up first.
 */
const probing = { idleMs: 1_000, intervalMs: 1_000, count: 127 };

/**
 * Asks the peer's kernel for a sign of life, by TCP's own probes, while its program cannot be asked: a database that works on a
 * query, a connection that this side does not read. Proves less than an answer of the program, and disturbs nothing.
 *
 * @example
 * const question = new KernelQuestion(socket);
 * question.ask();
 * question.answered(); // at the next look
 */
export class KernelQuestion {
  readonly #socket: Socket;
  /** What the socket held before; null: nothing has been asked. */
  #before: SocketSettings["keepalive"] | null = null;
  #segmentsIn: number | null = null;
  #byNode = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Has probes sent until they are answered or withdrawn. */
  ask(): void {
    if (this.#before !== null) return;
    if (libcProblem() !== null) return this.#askByNode();
    const fd = baseFd(this.#socket);
    try {
      const before = readSettings(fd).keepalive;
      this.#segmentsIn = segmentsIn(fd);
      writeSettings(fd, { keepalive: probing });
      this.#before = before;
    } catch {
      // Closed meanwhile: its end is on its way.
    }
  }

  /** Whether anything has arrived since it was asked. Then the question is over, and the socket has its own settings again. */
  answered(): boolean {
    if (this.#byNode) return true;
    if (this.#before === null) return false;
    const now = segmentsIn(baseFd(this.#socket));
    if (now === null || now === this.#segmentsIn) return false;
    this.withdraw();
    return true;
  }

  /** The socket has its own settings again. */
  withdraw(): void {
    const before = this.#before;
    this.#before = null;
    if (before === null) return;
    try {
      writeSettings(baseFd(this.#socket), { keepalive: before });
    } catch {
      // Closed meanwhile.
    }
  }

  /** Without koffi nobody can look for the answer, so the kernel judges by itself: libuv has it give up after eleven seconds. */
  #askByNode(): void {
    this.#socket.setKeepAlive(true, probing.idleMs);
    this.#byNode = true;
  }
}

/** Acknowledgements of probes count, too; null: closed meanwhile, or before Linux 4.2. */
function segmentsIn(fd: number): number | null {
  try {
    return readTcpInfo(fd).segmentsIn;
  } catch {
    return null;
  }
}
