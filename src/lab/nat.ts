import { inNamespace } from "../kernel/namespaces.js";
import { writeSysctl } from "../kernel/sysctl.js";
import type { Network } from "./network.js";
import type { Scenario } from "./scenario/schema.js";
import { nft } from "./tools.js";

type Nat = NonNullable<Scenario["nat"]>;

/**
 * A NAT that forgets by time: the kernel's own, connection tracking with a short memory. It picks no flow up in the middle
 * (nf_conntrack_tcp_loose), as real boxes do not: by default the kernel's would, and hide that it had forgotten.
 */
export async function forgetfulNat(network: Network, { inside, idle, forgotten }: Nat): Promise<void> {
  const router = network.router;
  inNamespace(router.namespace, () => {
    writeSysctl("net.netfilter.nf_conntrack_tcp_loose", 0);
    writeSysctl(
      "net.netfilter.nf_conntrack_tcp_timeout_established",
      Math.max(1, Math.round((idle ?? 0) / 1_000)),
    );
  });
  const interfaces = `{ ${inside.map((name) => `"${network.host(name).role}"`).join(", ")} }`;
  await nft(
    router.namespaceName,
    `table inet nat {
      chain postrouting { type nat hook postrouting priority 100; iifname ${interfaces} oifname != ${interfaces} masquerade; }
      chain forward { type filter hook forward priority -10; ${unknownFlows(forgotten)} }
      chain input { type filter hook input priority 0; ${unknownFlows(forgotten)} }
    }`,
  );
}

function unknownFlows(forgotten: Nat["forgotten"]): string {
  return forgotten === "drop"
    ? "ct state invalid drop;"
    : "ct state invalid meta l4proto tcp reject with tcp reset;";
}
