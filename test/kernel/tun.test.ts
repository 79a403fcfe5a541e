import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { closeSync, readSync, writeSync } from "node:fs";
import { describe, test } from "node:test";
import { inNamespace, namespaceAt } from "../../src/kernel/namespaces.js";
import { openTun } from "../../src/kernel/tun.js";
import { needsNamespaces } from "../support/namespaces.js";
import { run } from "./support.js";

const name = `${newOwnedName("lab")}-tun`;

describe("a TUN interface", { skip: needsNamespaces }, () => {
  test("stands in the namespace it was opened in, carries packets both ways, and goes with its descriptor", () => {
    run("ip", ["netns", "add", name]);
    try {
      const tun = inNamespace(namespaceAt(name), () => openTun("test0"));
      const ip = (...args: readonly string[]): string => run("ip", ["-n", name, ...args]);
      ip("address", "add", "10.77.9.1/24", "dev", "test0");
      ip("link", "set", "test0", "up");
      // A UDP datagram from 10.77.9.2 to a port where nobody listens: the kernel answers with ICMP port unreachable (RFC 1122).
      const datagram = Buffer.from("4500001c00010000401100000a4d09020a4d090103e803e900080000", "hex");
      datagram.writeUInt16BE(checksum(datagram.subarray(0, 20)), 10);
      writeSync(tun, datagram);
      const packet = Buffer.alloc(2_000);
      let length: number;
      // IPv6 may have something to say of its own.
      do length = readSync(tun, packet);
      while ((packet[0] as number) >> 4 !== 4);
      assert.ok(length >= 28);
      assert.equal(packet.toString("hex", 12, 22), "0a4d09010a4d09020303");
      closeSync(tun);
      assert.doesNotMatch(ip("link", "show"), /test0/);
      assert.throws(() => openTun("lo"), { code: "syscall-failed", errno: "EINVAL" });
    } finally {
      run("ip", ["netns", "delete", name]);
    }
  });
});

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
