import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { inNamespace, namespaceAt, type NetworkNamespace } from "../kernel/namespaces.js";
import { writeSysctl } from "../kernel/sysctl.js";
import { killInhabitants } from "./inhabitants.js";
import type { Family } from "./network.js";
import { ip, nft } from "./tools.js";

export interface HostIdentity {
  readonly prefix: string;
  readonly role: string;
  /** Tells the hosts of a network apart in addresses. */
  readonly number: number;
  readonly sysctls?: Readonly<Record<string, string | number>>;
}

/** Every host starts from the same values, whatever the machine's own are. */
const hostSysctls: Readonly<Record<string, string | number>> = {
  // The machine's default may be one that paces with timers of its own (bbr).
  "net.ipv4.tcp_congestion_control": "reno",
  // By default as many as half the table of connections, which is small here (Network).
  "net.ipv4.tcp_max_tw_buckets": 65_536,
  "net.ipv6.conf.default.accept_ra": 0,
  // Looking for duplicates of a link-local address takes a second in which no neighbour can be asked for (ndisc_solicit).
  "net.ipv6.conf.all.accept_dad": 0,
  "net.ipv6.conf.default.accept_dad": 0,
  // A cable that is pulled and put back leaves addresses alone, as with IPv4.
  "net.ipv6.conf.all.keep_addr_on_down": 1,
};

/** One host of a network: a namespace, its only interface `wire`, and the processes started inside. */
export class Host {
  readonly role: string;
  readonly namespaceName: string;
  /** Tells the hosts of a network apart, in addresses and interfaces. */
  readonly number: number;
  readonly #sysctls: Readonly<Record<string, string | number>>;
  readonly #children = new Set<ChildProcess>();
  #namespace: NetworkNamespace | null = null;
  #crashed = false;

  constructor({ prefix, role, number, sysctls = {} }: HostIdentity) {
    this.role = role;
    this.namespaceName = `${prefix}-${role}`;
    this.number = number;
    this.#sysctls = sysctls;
  }

  /** The namespace, for inNamespace; it changes when the host is rebooted. */
  get namespace(): NetworkNamespace {
    this.#namespace ??= namespaceAt(this.namespaceName);
    return this.#namespace;
  }

  /** It has no power: nothing inside runs or can be looked at. */
  get crashed(): boolean {
    return this.#crashed;
  }

  address(family: Family): string {
    return family === 4 ? `10.77.${this.number}.2` : `fd77:${this.number}::2`;
  }

  /** The router's address on the link to this host. */
  gateway(family: Family): string {
    return family === 4 ? `10.77.${this.number}.1` : `fd77:${this.number}::1`;
  }

  length(family: Family): number {
    return family === 4 ? 24 : 64;
  }

  /** Fixed, so that a host that comes back is known to its neighbours. */
  mac(end: 1 | 2): string {
    return `02:dd:00:00:${this.number.toString(16).padStart(2, "0")}:0${end}`;
  }

  /** The lines that give the interface its addresses and the way out. */
  addressLines(): string[] {
    return [
      `address replace ${this.address(4)}/${this.length(4)} dev wire`,
      `address replace ${this.address(6)}/${this.length(6)} dev wire nodad`,
    ];
  }

  routeLines(): string[] {
    return [`route replace 0.0.0.0/0 via ${this.gateway(4)}`, `route replace ::/0 via ${this.gateway(6)}`];
  }

  /** For a newly made namespace, before it has an interface. */
  writeSysctls(): void {
    this.#namespace = null;
    this.#crashed = false;
    inNamespace(this.namespace, () => {
      for (const [name, value] of Object.entries({ ...hostSysctls, ...this.#sysctls }))
        writeSysctl(name, value);
    });
  }

  /** Brings the interface to life. */
  async configure(): Promise<void> {
    await ip(
      ["link set lo up", "link set wire up", ...this.addressLines(), ...this.routeLines()],
      this.namespaceName,
    );
  }

  /**
   * Starts a program on this host. A fork is born in the namespace of the thread that calls it, so no helper is needed. It leads a
   * session of its own: Ctrl-C on the terminal is for the lab's owner, who then ends what it started.
   */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = inNamespace(this.namespace, () =>
      spawn(command, [...args], { detached: true, ...options }),
    );
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    // Without a process there is no exit.
    child.once("error", () => this.#children.delete(child));
    return child;
  }

  /**
   * Loses power: from one moment to the next nothing leaves and nothing arrives, ARP included, so that after a while the router
   * itself reports the host as unreachable. Then its processes end, unheard.
   */
  async crash(): Promise<void> {
    if (this.#crashed) return;
    await nft(
      this.namespaceName,
      `table netdev deadpeer {
        chain in { type filter hook ingress device wire priority 0; policy drop; }
        chain out { type filter hook egress device wire priority 0; policy drop; }
      }`,
    );
    this.#crashed = true;
    await this.end();
    killInhabitants([this.namespaceName]);
  }

  /** Ends every process that was started here, and waits for them. */
  async end(): Promise<void> {
    const ended = [...this.#children].map((child) => once(child, "exit"));
    if (ended.length > 0) this.#hurryOrphans();
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(ended);
  }

  /** A connection whose program is gone keeps its namespace in the kernel's memory until it has given up saying goodbye. */
  #hurryOrphans(): void {
    try {
      inNamespace(this.namespace, () => writeSysctl("net.ipv4.tcp_orphan_retries", 1));
    } catch {
      // It would have been quicker; nothing else depends on it.
    }
  }
}
