import { fileURLToPath } from "node:url";
import { inNamespace } from "../kernel/namespaces.js";
import { writeSysctl } from "../kernel/sysctl.js";
import type { Network } from "./network.js";
import { Program } from "./program.js";
import type { Scenario } from "./scenario/schema.js";
import { ip, nft } from "./tools.js";

type Nat = NonNullable<Scenario["nat"]>;

/** Makes the router translate addresses, and forget. */
export async function startNat(network: Network, nat: Nat): Promise<void> {
  if (nat.flows === undefined) await forgetByTime(network, nat, nat.idle ?? 0);
  else await forgetByNumber(network, nat, nat.flows);
}

/**
 * The kernel's own connection tracking with a short memory. It picks no flow up in the middle (nf_conntrack_tcp_loose), as real
 * boxes do not: by default the kernel's would, and hide that it had forgotten.
 */
async function forgetByTime(network: Network, { inside, forgotten }: Nat, idleMs: number): Promise<void> {
  const { router } = network;
  inNamespace(router.namespace, () => {
    writeSysctl("net.netfilter.nf_conntrack_tcp_loose", 0);
    writeSysctl(
      "net.netfilter.nf_conntrack_tcp_timeout_established",
      Math.max(1, Math.round(idleMs / 1_000)),
    );
  });
  const interfaces = `{ ${inside.map((name) => `"${network.host(name).role}"`).join(", ")} }`;
  const unknown =
    forgotten === "drop"
      ? "ct state invalid drop"
      : "ct state invalid meta l4proto tcp reject with tcp reset";
  await nft(
    router.namespaceName,
    `table inet nat {
      chain postrouting { type nat hook postrouting priority 100; iifname ${interfaces} oifname != ${interfaces} masquerade; }
      chain forward { type filter hook forward priority -10; ${unknown}; }
      chain input { type filter hook input priority 0; ${unknown}; }
    }`,
  );
}

/** The NAT's addresses, behind the interface where its program stands. */
const outside = { 4: "10.77.254.1", 6: "fd77:254::1" } as const;
const tun = "nat";
const routingTable = 77;
const program = fileURLToPath(new URL("peers/nat.js", import.meta.url));

/** A program of ours with a small table: the kernel has no NAT that evicts (see peers/nat.ts). */
async function forgetByNumber(network: Network, { inside, forgotten }: Nat, room: number): Promise<void> {
  const { router } = network;
  // Packets come back from the program with addresses that do not belong there.
  inNamespace(router.namespace, () => {
    writeSysctl("net.ipv4.conf.all.rp_filter", 0);
    writeSysctl("net.ipv4.conf.default.rp_filter", 0);
  });
  const nat = Program.script(
    router,
    "nat",
    [program, tun, String(room), forgotten, outside[4], outside[6]],
    () => {},
  );
  await nat.until("ready", ({ event }) => event === "ready");
  const byInside = inside.map((name) => `rule add iif ${network.host(name).role} lookup ${routingTable}`);
  await ip(
    [
      `link set ${tun} up`,
      `route add ${outside[4]}/32 dev ${tun}`,
      `route add ${outside[6]}/128 dev ${tun}`,
      `route add 0.0.0.0/0 dev ${tun} table ${routingTable}`,
      `route add ::/0 dev ${tun} table ${routingTable}`,
      ...byInside,
    ],
    router.namespaceName,
  );
  await ip(byInside, router.namespaceName, 6);
}
