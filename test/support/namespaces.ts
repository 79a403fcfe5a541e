import { spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { CLONE_NEWNET } from "../../src/kernel/abi.js";
import { check, libc } from "../../src/kernel/libc.js";
import { inNamespace, namespaceAt } from "../../src/kernel/namespaces.js";
import { newOwnedName } from "../../src/kernel/owned-names.js";

/** For `test(name, { skip: needsNamespaces }, …)`. */
export const needsNamespaces: string | false =
  process.platform !== "linux"
    ? "needs Linux"
    : process.getuid?.() !== 0
      ? "needs root, to make network namespaces"
      : ["ip", "nft"].some((tool) => spawnSync(tool, ["-V"]).error !== undefined)
        ? "needs iproute2 and nftables"
        : false;

export type Family = 4 | 6;
export type End = "near" | "far";

const addresses = {
  near: { 4: "10.77.1.2", 6: "fd77:1::2" },
  far: { 4: "10.77.2.2", 6: "fd77:2::2" },
} as const;
const gateways = {
  near: { 4: "10.77.1.1", 6: "fd77:1::1" },
  far: { 4: "10.77.2.1", 6: "fd77:2::1" },
} as const;

/**
 * Two hosts, near and far, and a router between them, each a network namespace, joined by veth pairs, over IPv4 and IPv6. What
 * the router is told to drop or reject never reaches the other side, as with a real cut.
 *
 * @example
 * using hosts = new Hosts();
 * hosts.enter("near");
 * hosts.in("far", () => server.listen(port));
 * const socket = connect({ host: hosts.address("far", 4), port });
 * hosts.cut(port);
 */
export class Hosts implements Disposable {
  /** A lab's name: a sweep takes what is left should the test be killed. */
  readonly #prefix = newOwnedName("lab");

  constructor() {
    try {
      this.#make();
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** The name that `ip netns` knows a host by. */
  name(host: End | "router"): string {
    return `${this.#prefix}-${host}`;
  }

  address(end: End, family: Family): string {
    return addresses[end][family];
  }

  /** Runs synchronous work in a host: sockets made inside belong to it. */
  in<T>(end: End, work: () => T): T {
    return inNamespace(namespaceAt(this.name(end)), work);
  }

  /**
   * Moves this thread into a host for good: what Node connects a tick later is made there as well. For a test file of its own,
   * which is a process of its own.
   */
  enter(end: End): void {
    const namespace = openSync(namespaceAt(this.name(end)).path, "r");
    check(libc().setns(namespace, CLONE_NEWNET), "setns");
    closeSync(namespace);
  }

  /** Has the router drop every segment of the connections to or from this port of the far host. */
  cut(port: number): void {
    this.#rule(`tcp dport ${port} drop`);
    this.#rule(`tcp sport ${port} drop`);
  }

  /** Has the router drop and reject nothing any more. */
  heal(): void {
    this.#onRouter("nft", "flush chain inet path forward");
  }

  /** Has the router answer every segment to this port with "host unreachable", over both families. */
  reject(port: number): void {
    this.#rule(`meta nfproto ipv4 tcp dport ${port} reject with icmp type host-unreachable`);
    this.#rule(`meta nfproto ipv6 tcp dport ${port} reject with icmpv6 type addr-unreachable`);
  }

  /** Takes the far host away with all its connections and puts a new one in its place, with the same addresses. */
  remakeFar(): void {
    // A namespace lives on while a socket in it does; without its wire it is gone for everybody else.
    ip(["-n", this.name("router"), "link", "delete", "far"]);
    ip(["netns", "delete", this.name("far")]);
    this.#makeEnd("far");
  }

  [Symbol.dispose](): void {
    for (const host of ["near", "far", "router"] as const)
      spawnSync("ip", ["netns", "delete", this.name(host)]);
  }

  #make(): void {
    const router = this.name("router");
    ip(["netns", "add", router]);
    for (const end of ["near", "far"] as const) this.#makeEnd(end);
    this.#onRouter("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    this.#onRouter(
      "nft",
      "add table inet path; add chain inet path forward { type filter hook forward priority 0; }",
    );
  }

  #makeEnd(end: End): void {
    const host = this.name(end);
    const router = this.name("router");
    ip(["netns", "add", host]);
    ip(["-n", host, "link", "set", "lo", "up"]);
    ip(["-n", host, "link", "add", "wire", "type", "veth", "peer", "name", end, "netns", router]);
    for (const family of [4, 6] as const) {
      // "nodad": an IPv6 address is usable at once, not after a second of looking for duplicates.
      const detect = family === 6 ? ["nodad"] : [];
      const length = family === 4 ? 24 : 64;
      ip(["-n", host, "address", "add", `${addresses[end][family]}/${length}`, "dev", "wire", ...detect]);
      ip(["-n", router, "address", "add", `${gateways[end][family]}/${length}`, "dev", end, ...detect]);
    }
    ip(["-n", host, "link", "set", "wire", "up"]);
    ip(["-n", router, "link", "set", end, "up"]);
    for (const family of [4, 6] as const)
      ip([`-${family}`, "-n", host, "route", "add", "default", "via", gateways[end][family]]);
  }

  #rule(text: string): void {
    this.#onRouter("nft", `add rule inet path forward ${text}`);
  }

  #onRouter(...command: readonly string[]): void {
    ip(["netns", "exec", this.name("router"), ...command]);
  }
}

function ip(args: readonly string[]): void {
  run("ip", args);
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr.trim()}`);
}
