import { read, writeSync } from "node:fs";
import { openTun } from "../../kernel/tun.js";
import { FlowTable } from "./flow-table.js";
import { addressDigits, flag, TcpPacket } from "./packet.js";
import { tell } from "./protocol.js";

/**
 * A NAT with a small table, as a program behind a TUN interface of the router: `nat.js INTERFACE ROOM drop|rst IPV4 IPV6`.
 *
 * The kernel's own connection tracking is no model for a box that evicts: when it is full it refuses new flows and keeps every
 * established one (early_drop only takes flows that are not assured), and nftables' sets refuse new elements in the same way.
 */
const [name = "nat", room = "1", forgotten = "drop", ipv4 = "", ipv6 = ""] = process.argv.slice(2);
const own = { 4: addressDigits(ipv4), 6: addressDigits(ipv6) };
const table = new FlowTable(Number(room));
const tun = openTun(name);
// More than an interface's MTU; larger packets do not come.
const buffer = Buffer.alloc(1 << 16);

process.stdin.resume().on("end", () => process.exit());
tell({ event: "ready" });
listen();

function listen(): void {
  read(tun, buffer, 0, buffer.length, null, (error, length) => {
    if (error !== null) {
      // The interface goes down before the router does.
      if (error.code === "EIO" || error.code === "EBADFD") process.exit();
      tell({ event: "failed", message: error.message });
      return;
    }
    const packet = TcpPacket.read(buffer.subarray(0, length));
    if (packet !== null) pass(packet);
    listen();
  });
}

function pass(packet: TcpPacket): void {
  const fromOutside = packet.destination.address === own[packet.family];
  const known = fromOutside ? inwards(packet) : outwards(packet);
  if (known) writeSync(tun, packet.bytes);
  else if (forgotten === "rst" && (packet.flags & flag.rst) === 0) writeSync(tun, packet.refusal());
}

/** Only a SYN from inside makes a flow: what comes in the middle of one that is forgotten stays unknown. */
function outwards(packet: TcpPacket): boolean {
  const opens = (packet.flags & (flag.syn | flag.ack)) === flag.syn;
  const outside =
    table.inside(packet.source) ?? (opens ? table.add(packet.source, own[packet.family]) : null);
  if (outside === null) return false;
  packet.source = outside;
  return true;
}

function inwards(packet: TcpPacket): boolean {
  const inside = table.behind(packet.destination.port);
  if (inside === null) return false;
  packet.destination = inside;
  return true;
}
