import { setTimeout as sleep } from "node:timers/promises";
import type { Family, Network } from "./network.js";
import { families } from "./network.js";
import { icmpCodes, icmpv6Codes, type PathSpec, type Rejection } from "./scenario/schema.js";
import { ip, nft } from "./tools.js";

/** Ends a fault. */
export type Heal = () => Promise<void>;

/** What stands for a code in the family that does not have it. */
const counterpart: Readonly<Partial<Record<Rejection, Rejection>>> = {
  "net-unreachable": "no-route",
  "host-unreachable": "addr-unreachable",
  "prot-unreachable": "port-unreachable",
  "net-prohibited": "reject-route",
  "host-prohibited": "admin-prohibited",
  "no-route": "net-unreachable",
  "addr-unreachable": "host-unreachable",
  "policy-fail": "admin-prohibited",
  "reject-route": "net-prohibited",
};

/** The faults of one network, as rules of its router and changes to its links. */
export class Faults {
  readonly #network: Network;
  readonly #portOf: (connection: string) => number;
  #chains = 0;

  /** @param portOf the port from which a connection was made. */
  constructor(network: Network, portOf: (connection: string) => number) {
    this.#network = network;
    this.#portOf = portOf;
  }

  /** The router drops packets; `share` in percent, all of them without it. */
  drop(path: PathSpec, share = 100): Promise<Heal> {
    // Thousandths, so that half a percent is not none.
    const chance = share >= 100 ? "" : `numgen random mod 100000 < ${Math.round(share * 1_000)} `;
    return this.#chain(
      families.flatMap((family) => this.#matches(path, family)).map((match) => `${match} ${chance}drop`),
    );
  }

  /** The router refuses packets in the receiver's name (rst), or its own. */
  reject(path: PathSpec, answer: Rejection): Promise<Heal> {
    return this.#chain(
      families.flatMap((family) =>
        this.#matches(path, family).map((match) => `${match} ${rejection(answer, family)}`),
      ),
    );
  }

  /** Down and up again until it is healed, down first. */
  flap(path: PathSpec, downMs: number, upMs: number): Promise<Heal> {
    const ended = new AbortController();
    const running = (async (): Promise<void> => {
      while (!ended.signal.aborted) {
        const heal = await this.drop(path);
        await sleep(downMs, undefined, { signal: ended.signal }).catch(() => {});
        await heal();
        await sleep(upMs, undefined, { signal: ended.signal }).catch(() => {});
      }
    })();
    // Who heals it waits for it; until then nobody listens.
    running.catch(() => {});
    return Promise.resolve(async () => {
      ended.abort();
      await running;
    });
  }

  /** The host loses its carrier; its addresses and routes stay. */
  async unplug(name: string): Promise<Heal> {
    const { role } = this.#network.host(name);
    const router = this.#network.router.namespaceName;
    await ip([`link set ${role} down`], router);
    return () => ip([`link set ${role} up`], router);
  }

  /** The host's own interface goes down, and its routes with it. */
  async linkDown(name: string): Promise<Heal> {
    const host = this.#network.host(name);
    await ip(["link set wire down"], host.namespaceName);
    return () => ip(["link set wire up", ...host.addressLines(), ...host.routeLines()], host.namespaceName);
  }

  /** The host loses its addresses. */
  async removeAddress(name: string): Promise<Heal> {
    const host = this.#network.host(name);
    await ip(["address flush dev wire scope global"], host.namespaceName);
    return () => ip([...host.addressLines(), ...host.routeLines()], host.namespaceName);
  }

  /** One chain for each fault, so that it can be emptied alone. */
  async #chain(rules: readonly string[]): Promise<Heal> {
    const router = this.#network.router.namespaceName;
    const chain = `inet deadpeer fault${++this.#chains}`;
    const lines = [
      `add chain ${chain}`,
      ...rules.map((rule) => `add rule ${chain} ${rule}`),
      `add rule inet deadpeer forward jump fault${this.#chains}`,
    ];
    await nft(router, lines.join("\n"));
    return () => nft(router, `flush chain ${chain}`);
  }

  #matches({ from, to, between, port: given, connection }: PathSpec, family: Family): string[] {
    const ways: (readonly [string | undefined, string | undefined])[] =
      between === undefined ? [[from, to]] : [between, [between[1], between[0]]];
    const port = connection === undefined ? given : this.#portOf(connection);
    // Whoever uses the port: a fault that lies on one way only says so by from and to.
    const ports = port === undefined ? [""] : [`tcp dport ${port}`, `tcp sport ${port}`];
    return ways.flatMap(([source, destination]) =>
      ports.map((segments) =>
        [
          `meta nfproto ipv${family}`,
          source === undefined ? "" : this.#address("saddr", source, family),
          destination === undefined ? "" : this.#address("daddr", destination, family),
          segments,
        ]
          .filter((part) => part !== "")
          .join(" "),
      ),
    );
  }

  #address(side: "saddr" | "daddr", host: string, family: Family): string {
    return `${family === 4 ? "ip" : "ip6"} ${side} ${this.#network.host(host).address(family)}`;
  }
}

function rejection(answer: Rejection, family: Family): string {
  if (answer === "rst") return "meta l4proto tcp reject with tcp reset";
  const codes: readonly Rejection[] = family === 4 ? icmpCodes : icmpv6Codes;
  const code = codes.includes(answer) ? answer : counterpart[answer];
  return `reject with ${family === 4 ? "icmp" : "icmpv6"} type ${code}`;
}
