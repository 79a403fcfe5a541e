/** Frames listed for a silence: a proof, no transcript. */
const mostFrames = 32;

/** What a side sent again and again while nothing came back. */
export class Silence {
  /** When and in which frame the other side was last heard; frame 0: never. */
  readonly heardFrame: number;
  readonly heardNs: number;
  /** The repetitions, the first of many and the last of all. */
  readonly frames: number[] = [];
  lastFrame: number;
  lastNs: number;
  /** The wait before the last repetition. */
  lastGapNs = 0;
  probes = 0;
  windowProbes = 0;
  retransmits = 0;

  constructor(heardFrame: number, heardNs: number, sentNs: number) {
    this.heardFrame = heardFrame;
    this.heardNs = heardNs;
    this.lastFrame = 0;
    this.lastNs = sentNs;
  }

  repeat(frame: number, timeNs: number): void {
    this.lastGapNs = timeNs - this.lastNs;
    this.lastFrame = frame;
    this.lastNs = timeNs;
    if (this.frames.length < mostFrames) this.frames.push(frame);
    else this.frames[mostFrames - 1] = frame;
  }

  get repetitions(): number {
    return this.probes + this.windowProbes + this.retransmits;
  }
}
