// The server of a mixed load, in a process of its own: node server.js OPTIONS-AS-JSON
// Keeps a ledger of each session, and answers questions over its channel.
import { HeartbeatServer } from "../../../../src/server/heartbeat-server.js";
import type { HeartbeatServerOptions } from "../../../../src/server/options.js";
import type { Session } from "../../../../src/server/session.js";
import { randomFrom } from "../../../support/random.js";
import type { Order, ServerEntry, Word } from "./ledger.js";
import { payloadOf, readPayload, wish } from "./payload.js";

type Kept = { -readonly [K in keyof ServerEntry]: ServerEntry[K] } & { verdicts: string[] };

const { laterMs, ...options } = JSON.parse(process.argv[2] ?? "{}") as HeartbeatServerOptions & {
  readonly laterMs: number;
};
const server = new HeartbeatServer(options);
const entries: Kept[] = [];
const refused: string[] = [];
const random = randomFrom(1);
let mostParked = 0;

const entryOf = ({ context }: Session): Kept => context as Kept;
const tell = (word: Word): void => void process.send?.(word);

function reply(session: Session): void {
  const { nonce, sent } = entryOf(session);
  if (session.state === "ended") return;
  // As long for the same place in the same life, whatever the order of replies.
  const length = ((nonce ?? 0) * 7 + session.given * 131) % 2_000;
  const payload = payloadOf(
    { nonce: nonce ?? 0, sequence: session.given + 1, flag: wish.nothing, length },
    random,
  );
  sent.messages++;
  sent.bytes += payload.length;
  session.send(payload);
}

server.on("session", (session) => {
  const entry = {
    nonce: null,
    sent: { messages: 0, bytes: 0 },
    received: { messages: 0, bytes: 0 },
    verdicts: [],
    end: null,
    broken: 0,
  };
  session.context = entry;
  entries.push(entry);
});
server.on("data", (session, payload, sequence) => {
  const entry = entryOf(session);
  const known = readPayload(payload, sequence);
  if (
    known === null ||
    sequence !== ++entry.received.messages ||
    known.nonce !== (entry.nonce ?? known.nonce)
  )
    entry.broken++;
  entry.received.bytes += payload.length;
  entry.nonce ??= known?.nonce ?? null;
  mostParked = Math.max(mostParked, server.parkedCount);
  if (known?.flag === wish.reply) reply(session);
  if (known?.flag === wish.replyLater) setTimeout(() => reply(session), random(laterMs));
  if (known?.flag === wish.evict) session.evict("as it wished");
});
server.on("offline", (session, { state }) => entryOf(session).verdicts.push(state));
server.on("end", (session, why) => {
  entryOf(session).end = why;
});
server.on("refused", (remote, problem) => refused.push(`${remote}: ${problem}`));

process.on("message", ({ do: what }: Order) => {
  if (what === "entries") tell({ is: "server-entries", entries });
  if (what === "state") {
    const { sessionCount: sessions, parkedCount: parked } = server;
    tell({ is: "state", state: { sessions, parked, mostParked, refused } });
  }
  // The channel is all that holds it then, and the run lets go of that.
  if (what === "close") void close();
});
// Whoever has started it has ended: nobody is left to report to.
process.on("disconnect", orphaned);

async function close(): Promise<void> {
  await server.close();
  process.off("disconnect", orphaned);
  tell({ is: "settled" });
}

function orphaned(): void {
  process.exit(1);
}

const { port } = await server.listen({ port: 0 });
tell({ is: "listening", port });
