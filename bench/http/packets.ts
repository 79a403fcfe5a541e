import { readFileSync } from "node:fs";

/** TCP segments that this network namespace has sent: on loopback each is one packet, whichever side sent it (Tcp: OutSegs, RFC 4022). */
function segmentsSent(): number {
  const [names = [], values = []] = readFileSync("/proc/self/net/snmp", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf("OutSegs")]);
}

/** Counts the packets of the whole network namespace meanwhile: only for one in which nothing else happens. */
export async function packetsOf<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly packets: number }> {
  const before = segmentsSent();
  const result = await work();
  return { result, packets: segmentsSent() - before };
}
