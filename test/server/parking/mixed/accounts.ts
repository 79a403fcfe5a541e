import { createHash } from "node:crypto";
import type { ClientEntry, ServerEntry, Tally } from "./ledger.js";

/** What a load came to. */
export interface Accounts {
  /** Sessions with a client that lived to its end, their connections, and the bytes of their messages in each direction. */
  readonly lives: number;
  readonly connections: number;
  readonly beats: number;
  readonly up: Tally;
  readonly down: Tally;
  /** How connections ended, as the server judged it. */
  readonly verdicts: Readonly<Record<string, number>>;
  /** Sessions whose client was killed. */
  readonly killed: number;
  /** Of everything that does not depend on time: the same for the same seed, parked or not. */
  readonly digest: string;
  /** What does not add up. */
  readonly problems: readonly string[];
}

/** Holds what the clients know against what the server knows. */
export function settleAccounts(
  clients: readonly ClientEntry[],
  server: readonly ServerEntry[],
  isVictim: (nonce: number) => boolean,
): Accounts {
  const problems: string[] = [];
  const known = new Map(server.map((entry) => [entry.nonce, entry]));
  const verdicts: Record<string, number> = {};
  const total = { up: { messages: 0, bytes: 0 }, down: { messages: 0, bytes: 0 } };
  let connections = 0;
  let beats = 0;
  for (const mine of clients) {
    const of = `session ${mine.nonce}`;
    const theirs = known.get(mine.nonce);
    connections += mine.ends.length;
    beats += mine.beats;
    if (theirs === undefined) {
      problems.push(`${of}: the server has never heard of it`);
      continue;
    }
    same(`${of}, up`, mine.sent, theirs.received);
    same(`${of}, down`, theirs.sent, mine.received);
    add(total.up, theirs.received);
    add(total.down, mine.received);
    if (theirs.end !== "bye") problems.push(`${of}: it ended with ${theirs.end}`);
    if (theirs.verdicts.join() !== mine.ends.join())
      problems.push(`${of}: ${theirs.verdicts.join(", ")}, but it was ${mine.ends.join(", ")}`);
  }
  const victims = server.filter(({ nonce }) => nonce === null || isVictim(nonce));
  for (const { nonce, broken, end, verdicts: said } of server) {
    if (broken > 0) problems.push(`session ${nonce}: ${broken} messages are not what was sent`);
    for (const verdict of said) verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    if (nonce !== null && !isVictim(nonce)) continue;
    // One that had said goodbye, or been evicted as it wished, when its process was killed ended so.
    const last = said.at(-1) ?? "";
    if (!["expired", "bye"].includes(end ?? "") || !["closed", "reset", "evicted"].includes(last))
      problems.push(`killed session ${nonce}: ${said.join(", ")}, ended with ${end}`);
  }
  if (known.size < clients.length)
    problems.push(`${clients.length} lives, ${known.size} known to the server`);
  return {
    lives: clients.length,
    connections,
    beats,
    ...total,
    verdicts,
    killed: victims.length,
    digest: digestOf(clients),
    problems,
  };

  function same(what: string, sent: Tally, received: Tally): void {
    if (sent.messages !== received.messages || sent.bytes !== received.bytes)
      problems.push(
        `${what}: ${sent.messages} messages of ${sent.bytes} bytes sent, ${received.messages} of ${received.bytes} received`,
      );
  }
}

function add(to: Tally, { messages, bytes }: Tally): void {
  to.messages += messages;
  to.bytes += bytes;
}

function digestOf(clients: readonly ClientEntry[]): string {
  const hash = createHash("sha256");
  for (const { nonce, sent, received, beats, ends } of clients.toSorted((a, b) => a.nonce - b.nonce))
    hash.update(JSON.stringify([nonce, sent, received, beats, ends]));
  return hash.digest("hex").slice(0, 16);
}
