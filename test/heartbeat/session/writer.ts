// Gives and acknowledges numbered messages without end, for session-file.test.ts; says the number of each thousandth. Argument: the file.
import { writeSync } from "node:fs";
import { SessionFile } from "../../../src/heartbeat/session/session-file.js";

const file = new SessionFile(process.argv[2] ?? "");
const { acknowledged = 0, queue = [] } = file.load().sessions[0] ?? {};
const journal = file.journal("a");
let given = acknowledged + queue.length;
for (;;) {
  journal.pushed(Buffer.from(String(++given)));
  // Ten wait at a time.
  if (given > 10) journal.acknowledged(given - 10);
  if (given % 1_000 === 0) writeSync(1, `${given}\n`);
}
