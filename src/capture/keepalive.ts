/** What was seen of one side's keepalive: the shortest and longest waits before its probes, and what they cost. */
export class Keepalive {
  /** From the last sign of life to the first probe. */
  idleLeastNs = Number.POSITIVE_INFINITY;
  idleMostNs = Number.NEGATIVE_INFINITY;
  /** From one probe to the next without an answer between. */
  intervalLeastNs = Number.POSITIVE_INFINITY;
  intervalMostNs = Number.NEGATIVE_INFINITY;
  /** The most probes in a row without an answer. */
  mostProbes = 0;
  /** Probes and answers, IP headers included. */
  packets = 0;
  bytes = 0;

  addIdle(ns: number): void {
    if (ns < this.idleLeastNs) this.idleLeastNs = ns;
    if (ns > this.idleMostNs) this.idleMostNs = ns;
  }

  addInterval(ns: number): void {
    if (ns < this.intervalLeastNs) this.intervalLeastNs = ns;
    if (ns > this.intervalMostNs) this.intervalMostNs = ns;
  }
}
