import { AddressTexts, type DiagBuffer, type DiagSocket, diagMessage, SocketRecord } from "./diag-socket.js";
import { stateNumber, type TcpState } from "./tcp-states.js";

/** Socket descriptions that lie in one buffer. */
export interface SocketRun extends DiagBuffer {
  /** Where each begins and ends, in turns. */
  readonly bounds: number[];
}

/** Appends a socket described in `bytes`, which must stay as they are, from `start` up to `end`. */
export function addSocket(runs: SocketRun[], bytes: Buffer, start: number, end: number): void {
  let run = runs.at(-1);
  if (run?.bytes !== bytes) {
    run = { bytes, words: new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2), bounds: [] };
    runs.push(run);
  }
  run.bounds.push(start, end);
}

/**
 * The sockets of a dump as the bytes that the kernel sent. A record is made when it is asked for: tens of thousands that lived as
 * long as the list would cost more than reading them.
 *
 * @example for (const { remote } of dumpSockets({ info: true })) print(remote.address);
 */
export class SocketTable implements Iterable<DiagSocket> {
  /** The kernel reported changes during every attempt: something may be missing or stand there twice. */
  readonly interrupted: boolean;
  readonly length: number;
  readonly #runs: readonly SocketRun[];
  readonly #texts = new AddressTexts();

  constructor(runs: readonly SocketRun[], interrupted: boolean) {
    this.#runs = runs;
    this.interrupted = interrupted;
    this.length = runs.reduce((sum, { bounds }) => sum + bounds.length / 2, 0);
  }

  *[Symbol.iterator](): Generator<DiagSocket, void, undefined> {
    for (const run of this.#runs)
      for (let index = 0; index < run.bounds.length; index += 2) yield this.#record(run, index);
  }

  /** One record that is led over all sockets: whoever wants to keep something copies it before going on. */
  *passing(): Generator<SocketRecord, void, undefined> {
    let record: SocketRecord | null = null;
    for (const run of this.#runs) {
      const { bounds } = run;
      record ??= this.#record(run, 0);
      for (let index = 0; index < bounds.length; index += 2) {
        record.moveTo(run, bounds[index] as number, bounds[index + 1] as number);
        yield record;
      }
    }
  }

  /** Those in one state; the others are not decoded. */
  inState(state: TcpState): DiagSocket[] {
    const wanted = stateNumber(state);
    const found: DiagSocket[] = [];
    for (const run of this.#runs)
      for (let index = 0; index < run.bounds.length; index += 2)
        if (run.bytes[(run.bounds[index] as number) + diagMessage.state] === wanted)
          found.push(this.#record(run, index));
    return found;
  }

  #record(run: SocketRun, index: number): SocketRecord {
    return new SocketRecord(run, run.bounds[index] as number, run.bounds[index + 1] as number, this.#texts);
  }
}
