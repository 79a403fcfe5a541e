import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  connectionKey,
  type Envelope,
  isAuthentic,
  messageIn,
  readEnvelope,
  sealDatagram,
} from "../../../src/heartbeat/protocol/datagram.js";
import { encode } from "../../../src/heartbeat/protocol/encode.js";
import type { Message } from "../../../src/heartbeat/protocol/message.js";
import { StreamReader } from "../../../src/heartbeat/protocol/stream-reader.js";
import { checkout } from "../../support/checkout.js";

/** The vectors of docs/protocol.md: a block of JSON, and below it what it is on the wire. UPDATE_SNAPSHOTS=1 writes the hex anew. */
const page = `${checkout}docs/protocol.md`;
const pair = /```json\n([^`]*)\n```\n\n```hex\n([^`]*)```/g;
const text = readFileSync(page, "utf8");
const vectors = [...text.matchAll(pair)].map(([, json = "", hex = ""]) => ({
  value: JSON.parse(json) as Record<string, unknown>,
  hex,
}));

const fields = new Set(["session", "token", "key", "payload", "id", "configured", "client", "server"]);
/** Bytes stand in the page as hex. */
function withBytes(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      fields.has(name) && typeof member === "string" ? Buffer.from(member, "hex") : member,
    ]),
  );
}

function onTheWire(value: Record<string, unknown>): Buffer {
  const given = withBytes(value);
  if ("configured" in given) {
    const { configured, client, server } = given as Record<string, Buffer>;
    return connectionKey(configured as Buffer, { client: client as Buffer, server: server as Buffer });
  }
  if ("message" in given) {
    const message = withBytes(given["message"] as Record<string, unknown>) as unknown as Message;
    return sealDatagram(given["key"] as Buffer, given as unknown as Envelope, encode(message));
  }
  return encode(given as unknown as Message);
}

/** 32 bytes a line, as people can count them. */
function written(bytes: Buffer): string {
  return `${(bytes.toString("hex").match(/.{1,64}/g) ?? []).join("\n")}\n`;
}

describe("the test vectors of the protocol's page", () => {
  test("are there", () => {
    assert.equal(vectors.length, 10);
    if (process.env["UPDATE_SNAPSHOTS"] !== "1") return;
    writeFileSync(
      page,
      text.replaceAll(
        pair,
        (_, json: string) =>
          `\`\`\`json\n${json}\n\`\`\`\n\n\`\`\`hex\n${written(onTheWire(JSON.parse(json) as Record<string, unknown>))}\`\`\``,
      ),
    );
  });

  for (const [index, { value, hex }] of vectors.entries())
    test(`number ${index + 1}, from the value and back`, () => {
      assert.equal(written(onTheWire(value)), hex);
      const bytes = Buffer.from(hex.replaceAll("\n", ""), "hex");
      if ("message" in value) {
        const given = withBytes(value);
        assert.ok(isAuthentic(given["key"] as Buffer, bytes));
        const { direction, id, sequence } = given as unknown as Envelope;
        assert.deepEqual(readEnvelope(bytes), { direction, id, sequence });
        assert.deepEqual(messageIn(bytes), withBytes(value["message"] as Record<string, unknown>));
      } else if ("type" in value) {
        const reader = new StreamReader();
        const seen: Message[] = [];
        if (value["type"] !== "hello") reader.push(onTheWire(vectors[0]?.value ?? {}), () => {});
        reader.push(bytes, (message) => seen.push(message));
        assert.deepEqual(seen, [withBytes(value)]);
      }
    });
});
