import { isMapped } from "../../kernel/addresses.js";
import type { AddressTexts } from "../../kernel/diag-socket.js";
import type { DiagEndpoint } from "../../kernel/sock-diag.js";
import { type EventFormat, numberReader } from "../../kernel/trace/event-format.js";

/** Both ends of a connection, as this host sees them. */
export interface Ends {
  readonly local: DiagEndpoint;
  readonly remote: DiagEndpoint;
  /** Both as one text: the same wherever they were read from. */
  readonly key: string;
}

/** @example endsOf("10.0.0.1", 43210, "10.0.0.2", 5432).key */
export function endsOf(
  localAddress: string,
  localPort: number,
  remoteAddress: string,
  remotePort: number,
): Ends {
  return {
    local: { address: localAddress, port: localPort },
    remote: { address: remoteAddress, port: remotePort },
    key: endsKey(localAddress, localPort, remoteAddress, remotePort),
  };
}

export function endsKey(
  localAddress: string,
  localPort: number,
  remoteAddress: string,
  remotePort: number,
): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

export type EndsReader = (bytes: Buffer, at: number, texts: AddressTexts) => Ends;

const ipv4Offset = 12;

/**
 * Reads the ends out of an event. Its IPv6 fields are filled for IPv4 too, with mapped addresses (TP_STORE_ADDRS), so they do for
 * both. null where the event has no such fields.
 */
export function endpointReader(format: EventFormat): EndsReader | null {
  const localPort = numberReader(format, "sport");
  const remotePort = numberReader(format, "dport");
  const local = format.fields.get("saddr_v6")?.offset;
  const remote = format.fields.get("daddr_v6")?.offset;
  if (localPort === null || remotePort === null || local === undefined || remote === undefined) return null;
  return (bytes, at, texts) =>
    endsOf(
      addressAt(bytes, at + local, texts),
      localPort(bytes, at),
      addressAt(bytes, at + remote, texts),
      remotePort(bytes, at),
    );
}

function addressAt(bytes: Buffer, at: number, texts: AddressTexts): string {
  return isMapped(bytes, at) ? texts.at(bytes, at + ipv4Offset, 4) : texts.at(bytes, at, 6);
}
