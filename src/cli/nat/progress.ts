import type { Measurement } from "../../client/nat/measurement.js";
import { formatDuration } from "../../plan/duration.js";
import { note } from "../note.js";
import { cutEnd, terminalOf } from "../output.js";

/** On a terminal a line that changes each second; elsewhere a line each minute, for a log. */
export class NatProgress implements Disposable {
  readonly #stream: NodeJS.WriteStream;
  readonly #measurement: Measurement;
  #timer: NodeJS.Timeout | null = null;

  constructor(stream: NodeJS.WriteStream, measurement: Measurement) {
    this.#stream = stream;
    this.#measurement = measurement;
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
    const { progress } = this.#measurement;
    if (progress === null) return;
    const { bracket, waiting, remainingMs } = progress;
    const text = [
      `survived ${formatDuration(bracket.survivedMs)}`,
      ...(bracket.lostMs === null ? [] : [`lost after ${formatDuration(bracket.lostMs)}`]),
      `${waiting} connection${waiting === 1 ? "" : "s"} waiting`,
      `at most ${formatDuration(Math.ceil(remainingMs / 1_000) * 1_000)} left`,
    ].join(", ");
    this.#clear();
    if (this.#stream.isTTY) this.#stream.write(cutEnd(text, terminalOf(this.#stream).width - 1));
    else note(text);
  }

  #clear(): void {
    if (this.#stream.isTTY) this.#stream.write("\r\u001B[K");
  }
}
