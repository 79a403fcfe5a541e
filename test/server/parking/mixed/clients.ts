// Many scripted clients in a process of their own: node clients.js HOST PORT FROM COUNT SEED ACTIONS PACE-MS REST-MS
// Says over its channel when all are connected, when their scripts are through, and what they know; ends on request.
import { setMaxListeners } from "node:events";
import type { Order, Word } from "./ledger.js";
import { ScriptedClient } from "./scripted-client.js";

/** Lives of one client, at most. */
const lives = 1_000;
/** One client in so many goes deaf. */
const deafEvery = 25;

const [port = 0, from = 0, count = 0, seed = 0, actions = 0, paceMs = 0, restMs = 0] = process.argv
  .slice(3)
  .map(Number);
const host = process.argv[2] ?? "";

setMaxListeners(0);
// Whoever has started it has ended: nobody is left to report to.
process.on("disconnect", () => process.exit(1));

const tell = (word: Word): void => void process.send?.(word);
const clients = Array.from({ length: count }, (_, n) => from + n).map(
  (index) =>
    new ScriptedClient({
      port,
      host,
      seed: seed + index,
      nonce: index * lives,
      actions,
      paceMs,
      goesDeaf: index % deafEvery === 0,
      log: console.error,
    }),
);

process.on("message", ({ do: what }: Order) => {
  if (what === "entries")
    tell({
      is: "client-entries",
      entries: clients.flatMap(({ entries }) => entries),
      retries: clients.reduce((sum, { retries }) => sum + retries, 0),
    });
  if (what === "close") process.exit();
  if (what === "finish") void all((client) => client.finish());
});

async function all(act: (client: ScriptedClient) => Promise<void>): Promise<void> {
  try {
    await Promise.all(clients.map(act));
    tell({ is: "settled" });
  } catch (error) {
    tell({ is: "failed", problem: (error as Error).stack ?? String(error) });
  }
}

// One after the other: who does not fit into the kernel's queue for accept repeats its hello too late for the handshake's time.
for (const client of clients) await client.start();
tell({ is: "started" });
await all(async (client) => {
  await client.live();
  client.rest(restMs);
});
