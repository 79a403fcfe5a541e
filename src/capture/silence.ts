/** What a side sent again and again while nothing came back. */
export class Silence {
  /** When and in which frame the other side was last heard; frame 0: never. */
  readonly heardFrame: number;
  readonly heardNs: number;
  readonly firstFrame: number;
  lastFrame: number;
  lastNs: number;
  /** The wait before the last repetition. */
  lastGapNs = 0;
  probes = 0;
  windowProbes = 0;
  retransmits = 0;

  constructor(heardFrame: number, heardNs: number, frame: number, timeNs: number) {
    this.heardFrame = heardFrame;
    this.heardNs = heardNs;
    this.firstFrame = frame;
    this.lastFrame = frame;
    this.lastNs = timeNs;
  }

  get repetitions(): number {
    return this.probes + this.windowProbes + this.retransmits;
  }
}
