import { once } from "node:events";
import type { Writable } from "node:stream";
import type { Connection } from "../host/connection.js";
import { AsciiWriter, asciiBytes, PairedPieces, Pieces } from "./ascii-writer.js";

/** Large enough that a write costs nothing beside its text, small enough to be gone before the next is ready. */
const chunkBytes = 262_144;

const firstLine = asciiBytes("\n");
const nextLine = asciiBytes(",\n");

/** A connection, or one that passes by. */
type Row = Omit<Connection, "cookie"> & { readonly cookie: string | number };

/**
 * Writes connections as one JSON array, one element a line. Many thousand of them are many megabytes, and JSON.stringify or even
 * putting strings together would take longer than the kernel takes to list them: what many connections have in common is
 * rendered once and then copied. A slow reader is waited for.
 *
 * @example await writeJson(new HostWalk().passing(), process.stdout)
 */
export async function writeJson(connections: Iterable<Row>, out: Writable): Promise<void> {
  const json = new AsciiWriter(chunkBytes);
  json.text("[");
  let separator = firstLine;
  for (const connection of connections) {
    json.piece(separator);
    separator = nextLine;
    writeElement(json, connection);
    if (json.length < chunkBytes) continue;
    const keepsUp = out.write(json.written);
    // Files and pipes take it at once; what is still waiting must stay as it is.
    if (out.writableLength === 0) json.clear();
    else json.renew();
    if (!keepsUp) await once(out, "drain");
  }
  json.text(separator === firstLine ? "]\n" : "\n]\n");
  out.write(json.written);
}

/** Pieces of an element, each up to the next value that nearly every connection has for itself. */
const local = new Pieces(
  (address: string) => `{"family":${address.includes(":") ? 6 : 4},"local":{"address":"${address}","port":`,
);
const remote = new Pieces((address: string) => `},"remote":{"address":"${address}","port":`);
const state = new Pieces((name: Connection["state"]) => `},"state":"${name}","inode":`);
const uid = new Pieces((number: number) => `,"uid":${number},"cookie":"`);
const noProcess = asciiBytes('","processes":[]');
const firstProcess = asciiBytes('","processes":[{"pid":');
const nextProcess = asciiBytes('},{"pid":');
const lastProcess = asciiBytes("}]");
const processName = new Pieces((name: string) => `,"name":${JSON.stringify(name)},"fd":`);
const settings = new PairedPieces(
  (keepalive: Connection["keepalive"], userTimeoutMs: number | null) =>
    `,"keepalive":${JSON.stringify(keepalive)},"userTimeoutMs":${userTimeoutMs}`,
);
const timerKind = new PairedPieces(
  (settingsFrom: string, kind: string) =>
    `,"settingsFrom":"${settingsFrom}","timer":{"kind":"${kind}","expiresMs":`,
);
/** The kernel counts retransmissions in a byte. */
const regime = new PairedPieces(
  (name: string, retransmits: number) => `,"retransmits":${retransmits}},"regime":"${name}","lastHeardMs":`,
);
const emptyQueues = asciiBytes(',"queues":{"receive":0,"send":0');
const receiveQueue = asciiBytes(',"queues":{"receive":');
const sendQueue = asciiBytes(',"send":');
const assessment = new PairedPieces(
  (detection: Connection["detection"], findings: Connection["findings"]) =>
    `},"detection":${JSON.stringify(detection)},"findings":${JSON.stringify(findings)}`,
);
const place = new Pieces((netns: string | undefined) =>
  netns === undefined ? "}" : `,"netns":${JSON.stringify(netns)}}`,
);

function writeElement(json: AsciiWriter, connection: Row): void {
  const { cookie, timer, queues } = connection;
  json.piece(local.of(connection.local.address)).number(connection.local.port);
  json.piece(remote.of(connection.remote.address)).number(connection.remote.port);
  json.piece(state.of(connection.state)).number(connection.inode);
  json.piece(uid.of(connection.uid));
  if (typeof cookie === "number") json.number(cookie);
  else json.text(cookie);
  writeProcesses(json, connection.processes);
  json.piece(settings.of(connection.keepalive, connection.userTimeoutMs));
  json.piece(timerKind.of(connection.settingsFrom, timer.kind)).number(timer.expiresMs);
  json.piece(regime.of(connection.regime, timer.retransmits)).number(connection.lastHeardMs);
  if (queues.receive === 0 && queues.send === 0) json.piece(emptyQueues);
  else json.piece(receiveQueue).number(queues.receive).piece(sendQueue).number(queues.send);
  json.piece(assessment.of(connection.detection, connection.findings)).piece(place.of(connection.netns));
}

function writeProcesses(json: AsciiWriter, processes: Connection["processes"]): void {
  if (processes.length === 0) {
    json.piece(noProcess);
    return;
  }
  let before = firstProcess;
  for (const { pid, name, fd } of processes) {
    json.piece(before).number(pid).piece(processName.of(name)).number(fd);
    before = nextProcess;
  }
  json.piece(lastProcess);
}
