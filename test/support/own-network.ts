import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { isIPv6 } from "node:net";
import { CLONE_NEWNET } from "../../src/kernel/abi.js";
import { check, libc } from "../../src/kernel/libc.js";
import { namespaceAt } from "../../src/kernel/namespaces.js";
import { newOwnedName } from "../../src/kernel/owned-names.js";

/**
 * A network that only this process and its children are in, with as many addresses as a test likes on its loopback: clients that
 * differ by their network, over IPv6 as well. This thread moves into it for good: for a test file of its own.
 *
 * @example
 * using _network = enterOwnNetwork(["fd77:1::1", "fd77:2::1"]);
 */
export function enterOwnNetwork(addresses: readonly string[]): Disposable {
  const name = newOwnedName("lab");
  ip(["netns", "add", name]);
  const away = (): void => void spawnSync("ip", ["netns", "delete", name]);
  try {
    const lines = addresses.map((address) =>
      isIPv6(address) ? `address add ${address}/64 dev lo nodad` : `address add ${address}/32 dev lo`,
    );
    ip(["-n", name, "-batch", "-"], ["link set lo up", ...lines].join("\n"));
    const namespace = openSync(namespaceAt(name).path, "r");
    check(libc().setns(namespace, CLONE_NEWNET), "setns");
    closeSync(namespace);
  } catch (error) {
    away();
    throw error;
  }
  return { [Symbol.dispose]: away };
}

function ip(args: readonly string[], input = ""): void {
  const { status, stderr, error } = spawnSync("ip", [...args], { encoding: "utf8", input });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
}
