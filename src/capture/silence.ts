import { noTime } from "./no-time.js";

/** Frames listed for a silence: a proof, no transcript. */
const mostFrames = 32;

/** What a side sent again and again while nothing came back. */
export class Silence {
  /** When and in which frame the other side was last heard; frame 0: never. */
  heardFrame = 0;
  heardNs = noTime;
  /** The other side's segment that ended it; 0: none did. */
  answeredFrame = 0;
  lastFrame = 0;
  lastNs = noTime;
  /** The wait before the last repetition. */
  lastGapNs = noTime;
  probes = 0;
  windowProbes = 0;
  retransmits = 0;
  readonly #frames: number[] = [];
  #listed = 0;

  /** Begins it, or another in its place: `sentNs` is when the side itself last sent something. */
  begin(heardFrame: number, heardNs: number, sentNs: number): void {
    this.heardFrame = heardFrame;
    this.heardNs = heardNs;
    this.answeredFrame = 0;
    this.lastNs = sentNs;
    this.probes = 0;
    this.windowProbes = 0;
    this.retransmits = 0;
    this.#listed = 0;
  }

  repeat(frame: number, timeNs: number): void {
    this.lastGapNs = timeNs - this.lastNs;
    this.lastFrame = frame;
    this.lastNs = timeNs;
    if (this.#listed < mostFrames) this.#listed++;
    this.#frames[this.#listed - 1] = frame;
  }

  /** The repetitions: the first of many, and the last of all. */
  get frames(): number[] {
    return this.#frames.slice(0, this.#listed);
  }

  get repetitions(): number {
    return this.probes + this.windowProbes + this.retransmits;
  }
}
