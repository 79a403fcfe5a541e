import { existsSync, writeFileSync } from "node:fs";
import { DeadpeerError } from "../errors.js";
import { inNamespace } from "../kernel/namespaces.js";
import { newOwnedName } from "../kernel/owned-names.js";
import { Host } from "./host.js";
import { killInhabitants } from "./inhabitants.js";
import { ip, nft } from "./tools.js";

export type Family = 4 | 6;
export const families: readonly Family[] = [4, 6];

export interface HostPlan {
  /** Sysctls of the host, by name. */
  readonly sysctls?: Readonly<Record<string, string | number>>;
}

const childTableSize = "/proc/sys/net/ipv4/tcp_child_ehash_entries";

const routerSysctls: Readonly<Record<string, number>> = {
  "net.ipv4.ip_forward": 1,
  "net.ipv6.conf.all.forwarding": 1,
  // Every rejected packet gets its answer: by default ICMP errors are rationed (icmp(7)), and a scenario would depend on luck.
  "net.ipv4.icmp_ratelimit": 0,
  "net.ipv6.icmp.ratelimit": 0,
};

/**
 * Hosts around a router, each a network namespace, joined by veth pairs whose ends are born inside, so that the machine's own
 * network never sees them. Over IPv4 and IPv6. One owner: disposing of it ends every process inside and removes it all.
 *
 * @example
 * await using network = await Network.create({ client: {}, server: {} });
 * network.host("client").spawn("ping", ["-c1", network.host("server").address(4)]);
 */
export class Network implements AsyncDisposable {
  readonly prefix: string;
  readonly hosts: ReadonlyMap<string, Host>;
  readonly router: Host;
  #disposed: Promise<void> | null = null;

  private constructor(prefix: string, plans: Readonly<Record<string, HostPlan>>) {
    this.prefix = prefix;
    this.router = new Host({ prefix, role: "router", number: 0, sysctls: routerSysctls });
    const names = Object.keys(plans);
    this.hosts = new Map(
      names.map((role, index) => [
        role,
        new Host({ prefix, role, number: index + 1, sysctls: plans[role]?.sysctls ?? {} }),
      ]),
    );
  }

  /**
   * @param plans the hosts by name, which is also that of the router's interface to it.
   * @throws DeadpeerError `bad-option` for a name that cannot be; `tool-missing`, `lab-failed`, `permission-denied`; nothing is left behind then.
   */
  static async create(
    plans: Readonly<Record<string, HostPlan>>,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Network> {
    signal?.throwIfAborted();
    const odd = Object.keys(plans).find((name) => !/^[a-z][a-z0-9-]{0,14}$/.test(name) || name === "router");
    if (odd !== undefined)
      throw new DeadpeerError(
        "bad-option",
        `a host cannot be called "${odd}": 1 to 15 letters a-z, digits and hyphens, beginning with a letter, and not "router"`,
      );
    const network = new Network(newOwnedName("lab"), plans);
    try {
      await network.#make();
      signal?.throwIfAborted();
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  host(name: string): Host {
    const host = name === "router" ? this.router : this.hosts.get(name);
    if (host === undefined) throw new RangeError(`no host is called ${name}`);
    return host;
  }

  /** The hosts and the router. */
  get all(): Host[] {
    return [...this.hosts.values(), this.router];
  }

  /**
   * The host loses power and comes back: a new namespace with the same addresses, whose kernel remembers nothing. Whatever ran
   * inside is gone without a word on the wire.
   */
  async reboot(name: string): Promise<void> {
    const host = this.host(name);
    await host.crash();
    await ip([`link delete ${host.role}`], this.router.namespaceName);
    await ip([`netns delete ${host.namespaceName}`]);
    await this.#addNamespaces([host]);
    host.writeSysctls();
    await ip([this.#link(host)]);
    await host.configure();
    await ip(this.#routerEnd(host), this.router.namespaceName);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #make(): Promise<void> {
    await ip([`netns add ${this.router.namespaceName}`]);
    this.router.writeSysctls();
    await this.#addNamespaces([...this.hosts.values()]);
    for (const host of this.hosts.values()) host.writeSysctls();
    await ip([...this.hosts.values()].map((host) => this.#link(host)));
    const ends = [...this.hosts.values()].flatMap((host) => this.#routerEnd(host));
    await Promise.all([
      ip(["link set lo up", ...ends], this.router.namespaceName),
      nft(
        this.router.namespaceName,
        "table inet deadpeer {\nchain forward { type filter hook forward priority 0; }\n}",
      ),
      ...[...this.hosts.values()].map((host) => host.configure()),
    ]);
  }

  /**
   * Made from inside the router, which tells those that come from it to have a table of connections of their own, and a small one:
   * who lists the sockets of a host walks through all of the machine's else, tens of milliseconds where there are many.
   */
  async #addNamespaces(hosts: readonly Host[]): Promise<void> {
    await inNamespace(this.router.namespace, () => {
      // Linux 6.1.
      if (existsSync(childTableSize)) writeFileSync(childTableSize, "1024");
      return { added: ip(hosts.map((host) => `netns add ${host.namespaceName}`)) };
    }).added;
  }

  #link(host: Host): string {
    // Different numbers at both ends: the kernel takes equal ones for no pair (linkwatch_urgent_event), and lets IPv6 wait a second
    // for the carrier.
    return `link add name wire index 2 netns ${host.namespaceName} address ${host.mac(1)} type veth peer name ${host.role} index ${100 + host.number} netns ${this.router.namespaceName} address ${host.mac(2)}`;
  }

  #routerEnd(host: Host): string[] {
    return [
      ...families.map(
        (family) =>
          `address add ${host.gateway(family)}/${host.length(family)} dev ${host.role}${family === 6 ? " nodad" : ""}`,
      ),
      `link set ${host.role} up`,
    ];
  }

  async #dispose(): Promise<void> {
    await Promise.all(this.all.map((host) => host.end()));
    killInhabitants(this.all.map((host) => host.namespaceName));
    // One line each: what one host lacks (a failed start) must not keep the others.
    await Promise.all(this.all.map((host) => ip([`netns delete ${host.namespaceName}`]).catch(() => {})));
  }
}
