import { captureOf, MadeConnection } from "../support/pcap.js";

/** A database client that talks, is kept alive, then loses its server: keepalive 60 s, 10 s, 3. */
export function cutOff(): MadeConnection {
  const connection = new MadeConnection(40_001).open(0).talk(10, 0, 120).talk(20, 1, 900);
  let atMs = 21;
  for (let index = 0; index < 8; index++) {
    atMs += 60_000;
    connection.probe(atMs, 0, true);
    atMs += 1;
  }
  for (let index = 0; index < 3; index++) connection.probe(atMs + 60_000 + index * 10_000, 0, false);
  return connection.reset(atMs + 90_000, 0);
}

/** Data that nothing answers any more, sent again and again. */
export function unanswered(): MadeConnection {
  const connection = new MadeConnection(40_002).open(1_000).talk(1_010, 0, 10).unheard(2_000, 0, 10);
  for (let wait = 200, atMs = 2_200; atMs < 60_000; wait *= 2, atMs += wait) connection.again(atMs, 0, 10);
  return connection;
}

/** Ends in order. */
export function inOrder(port = 40_003, atMs = 3_000): MadeConnection {
  return new MadeConnection(port)
    .open(atMs)
    .talk(atMs + 10, 0, 10)
    .close(atMs + 20);
}

/** Three connections with three fates. */
export function threeFates(): Buffer {
  return captureOf(cutOff(), unanswered(), inOrder());
}
