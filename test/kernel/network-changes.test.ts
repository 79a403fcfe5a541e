import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { NetworkChanges } from "../../src/kernel/network-changes.js";
import { Hosts, needsNamespaces } from "../support/namespaces.js";

describe("changes of a host's network", { skip: needsNamespaces }, () => {
  test("are seen once each: addresses, routes and links of both families, and nobody else's", () => {
    using hosts = new Hosts();
    using changes = hosts.in("near", () => NetworkChanges.open());
    const ip = (host: "near" | "far", ...args: string[]): void => {
      const { status, stderr } = spawnSync("ip", ["-n", hosts.name(host), ...args], { encoding: "utf8" });
      assert.equal(status, 0, stderr);
    };
    assert.equal(changes.poll(), false);
    for (const change of [
      ["address", "add", "10.99.1.1/32", "dev", "wire"],
      ["address", "add", "fd99::1/128", "dev", "wire", "nodad"],
      ["route", "add", "10.98.0.0/24", "dev", "wire"],
      ["-6", "route", "add", "fd98::/64", "dev", "wire"],
      ["route", "del", "default"],
      ["address", "del", "10.99.1.1/32", "dev", "wire"],
      ["link", "set", "wire", "mtu", "1400"],
      ["link", "set", "wire", "down"],
    ]) {
      ip("near", ...change);
      assert.equal(changes.poll(), true, change.join(" "));
      assert.equal(changes.poll(), false, `${change.join(" ")}, a second time`);
      ip("far", "address", "replace", "10.99.1.1/32", "dev", "wire");
      assert.equal(changes.poll(), false, "another host's");
    }
  });

  test("so many that notices are lost are seen as well", () => {
    using hosts = new Hosts();
    using changes = hosts.in("near", () => NetworkChanges.open());
    const batch = Array.from(
      { length: 4_000 },
      (_, n) => `route add 10.${100 + (n >> 8)}.${n & 255}.0/24 dev wire`,
    );
    const { status, stderr } = spawnSync("ip", ["-n", hosts.name("near"), "-batch", "-"], {
      input: batch.join("\n"),
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
    assert.equal(changes.poll(), true);
  });
});
