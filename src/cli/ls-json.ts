import { once } from "node:events";
import type { Writable } from "node:stream";
import type { Connection } from "../host/connection.js";
import { AsciiWriter, Pieces } from "./ascii-writer.js";

/** Large enough that a write costs nothing beside its text, small enough to be gone before the next is ready. */
const chunkBytes = 262_144;

/**
 * Writes connections as one JSON array, one element a line. Many thousand of them are many megabytes, and JSON.stringify or even
 * putting strings together would take longer than the kernel takes to list them: what many connections have in common is
 * rendered once and then copied. A slow reader is waited for.
 *
 * @example await writeJson(new HostWalk(), process.stdout)
 */
export async function writeJson(connections: Iterable<Connection>, out: Writable): Promise<void> {
  const json = new AsciiWriter(chunkBytes);
  json.text("[");
  let separator = "\n";
  for (const connection of connections) {
    json.text(separator);
    separator = ",\n";
    writeElement(json, connection);
    if (json.length < chunkBytes) continue;
    const keepsUp = out.write(json.written);
    // Files and pipes take it at once; what is still waiting must stay as it is.
    if (out.writableLength === 0) json.clear();
    else json.renew();
    if (!keepsUp) await once(out, "drain");
  }
  json.text(separator === "\n" ? "]\n" : "\n]\n");
  out.write(json.written);
}

/** Pieces of an element, each up to the next value that nearly every connection has for itself. */
const local = new Pieces(
  (address: string) => `{"family":${address.includes(":") ? 6 : 4},"local":{"address":"${address}","port":`,
);
const remote = new Pieces((address: string) => `},"remote":{"address":"${address}","port":`);
const state = new Pieces((name: Connection["state"]) => `},"state":"${name}","inode":`);
const uid = new Pieces((number: number) => `,"uid":${number},"cookie":"`);
const processName = new Pieces((name: string) => `,"name":${JSON.stringify(name)},"fd":`);
const keepalive = new Pieces((part: Connection["keepalive"]) => `],"keepalive":${JSON.stringify(part)}`);
const userTimeout = new Pieces((ms: number | null) => `,"userTimeoutMs":${ms}`);
const settingsFrom = new Pieces((source: string) => `,"settingsFrom":"${source}"`);
const timerKind = new Pieces((kind: string) => `,"timer":{"kind":"${kind}","expiresMs":`);
const regime = new Pieces((name: string) => `},"regime":"${name}","lastHeardMs":`);
const detection = new Pieces((part: Connection["detection"]) => `},"detection":${JSON.stringify(part)}`);
const findings = new Pieces((part: Connection["findings"]) => `,"findings":${JSON.stringify(part)}`);

function writeElement(json: AsciiWriter, connection: Connection): void {
  const { timer, queues, processes, netns } = connection;
  json.piece(local.of(connection.local.address)).number(connection.local.port);
  json.piece(remote.of(connection.remote.address)).number(connection.remote.port);
  json.piece(state.of(connection.state)).number(connection.inode);
  json.piece(uid.of(connection.uid)).text(connection.cookie);
  let before = '","processes":[{"pid":';
  for (const { pid, name, fd } of processes) {
    json.text(before).number(pid).piece(processName.of(name)).number(fd);
    before = '},{"pid":';
  }
  json.text(processes.length === 0 ? '","processes":[' : "}");
  json.piece(keepalive.of(connection.keepalive)).piece(userTimeout.of(connection.userTimeoutMs));
  json.piece(settingsFrom.of(connection.settingsFrom));
  json.piece(timerKind.of(timer.kind)).number(timer.expiresMs);
  json.text(',"retransmits":').number(timer.retransmits);
  json.piece(regime.of(connection.regime)).number(connection.lastHeardMs);
  json.text(',"queues":{"receive":').number(queues.receive);
  json.text(',"send":').number(queues.send);
  json.piece(detection.of(connection.detection)).piece(findings.of(connection.findings));
  json.text(netns === undefined ? "}" : `,"netns":${JSON.stringify(netns)}}`);
}
