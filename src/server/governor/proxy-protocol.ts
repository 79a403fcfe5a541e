import { isIPv4, isIPv6 } from "node:net";
import { formatIpv4, formatIpv6 } from "../../kernel/addresses.js";
import { crc32c } from "./crc32c.js";

/** For whom a proxy speaks, by its PROXY header. */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** The client's end and the one that it connected to; null: the proxy speaks for itself (LOCAL), or does not say (UNKNOWN). */
  readonly source: { readonly address: string; readonly port: number } | null;
  readonly destination: { readonly address: string; readonly port: number } | null;
  /** What version 2 says besides, by the protocol's types: 1 ALPN, 2 authority, 5 unique id, 0x20 TLS. */
  readonly tlvs: readonly { readonly type: number; readonly value: Uint8Array }[];
}

export type ProxyReading =
  /** It may be a header, of which there is more to come. */
  | { readonly state: "partial" }
  /** These bytes do not begin one. */
  | { readonly state: "none" }
  | { readonly state: "malformed"; readonly problem: string }
  | { readonly state: "header"; readonly header: ProxyHeader /** In bytes. */; readonly length: number };

/** Version 1 ends in CR LF within 107 bytes. */
const longestLine = 107;
/** Version 2 could be of 64 KiB. Proxies send some hundred bytes; a client's certificate is never among them, its names are. */
const longestBody = 8_192;
const signature1 = Buffer.from("PROXY ", "latin1");
const signature2 = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const fixedLength = 16;

/**
 * Reads a PROXY header (proxy-protocol.txt of HAProxy, versions 1 and 2) from the beginning of what a connection has brought so far.
 * Never throws, and never reads beyond the bytes that are there.
 *
 * @example readProxyHeader(Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n")).state // "header"
 */
export function readProxyHeader(bytes: Uint8Array): ProxyReading {
  if (beginsWith(bytes, signature2)) return bytes.length < fixedLength ? partial : version2(bytes);
  if (beginsWith(bytes, signature1)) return bytes.length < signature1.length ? partial : version1(bytes);
  return { state: "none" };
}

const partial: ProxyReading = { state: "partial" };

function malformed(problem: string): ProxyReading {
  return { state: "malformed", problem };
}

/** As far as there are bytes. */
function beginsWith(bytes: Uint8Array, signature: Uint8Array): boolean {
  const length = Math.min(bytes.length, signature.length);
  for (let index = 0; index < length; index++) if (bytes[index] !== signature[index]) return false;
  return true;
}

function version1(bytes: Uint8Array): ProxyReading {
  const within = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, longestLine));
  const end = within.indexOf("\r\n", 0, "latin1");
  if (end < 0)
    return bytes.length < longestLine
      ? partial
      : malformed(`version 1: no end of line within ${longestLine} bytes`);
  const words = within.toString("latin1", 0, end).split(" ");
  const length = end + 2;
  const [, family, from = "", to = "", fromPort = "", toPort = ""] = words;
  if (family === "UNKNOWN") return found(1, length, null, null);
  const isAddress = family === "TCP4" ? isIPv4 : family === "TCP6" ? isPlainIPv6 : null;
  if (isAddress === null) return malformed("version 1: neither TCP4 nor TCP6 nor UNKNOWN");
  if (words.length !== 6) return malformed("version 1: not two addresses and two ports");
  if (!isAddress(from) || !isAddress(to)) return malformed(`version 1: no address of ${family}`);
  const ports = [portOf(fromPort), portOf(toPort)] as const;
  if (ports[0] === null || ports[1] === null) return malformed("version 1: no port from 0 to 65535");
  return found(1, length, { address: from, port: ports[0] }, { address: to, port: ports[1] });
}

/** Without a zone, which means nothing to others. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function portOf(text: string): number | null {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535 ? Number(text) : null;
}

function version2(bytes: Uint8Array): ProxyReading {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [version, command] = [view.getUint8(12) >> 4, view.getUint8(12) & 0xf];
  if (version !== 2) return malformed(`version ${version} of the protocol is not known`);
  if (command > 1) return malformed(`version 2: command ${command} is not known`);
  const body = view.getUint16(14);
  if (body > longestBody) return malformed(`version 2: ${body} bytes are more than ${longestBody}`);
  const length = fixedLength + body;
  const family = view.getUint8(13);
  const addressLength = addressLengths.get(family);
  if (addressLength === undefined)
    return malformed(`version 2: family 0x${family.toString(16)} is not known`);
  // A proxy that speaks for itself may leave out, or make up, the addresses.
  const isLocal = command === 0;
  if (!isLocal && body < addressLength) return malformed("version 2: too short for its addresses");
  if (bytes.length < length) return partial;
  if (isLocal) return found(2, length, null, null);
  const tlvs = readTlvs(bytes.subarray(0, length), fixedLength + addressLength);
  if (typeof tlvs === "string") return malformed(`version 2: ${tlvs}`);
  const ends = family >> 4 === 1 ? ends4(bytes, view) : family >> 4 === 2 ? ends6(bytes, view) : null;
  return found(2, length, ends?.[0] ?? null, ends?.[1] ?? null, tlvs);
}

/** By family and transport; the Unix ones carry two paths, which are nobody's address here. */
const addressLengths = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x12, 12],
  [0x21, 36],
  [0x22, 36],
  [0x31, 216],
  [0x32, 216],
]);

type Ends = readonly [ProxyHeader["source"], ProxyHeader["destination"]];

function ends4(bytes: Uint8Array, view: DataView): Ends {
  return [
    { address: formatIpv4(bytes, 16), port: view.getUint16(24) },
    { address: formatIpv4(bytes, 20), port: view.getUint16(26) },
  ];
}

function ends6(bytes: Uint8Array, view: DataView): Ends {
  return [
    { address: formatIpv6(bytes, 16), port: view.getUint16(48) },
    { address: formatIpv6(bytes, 32), port: view.getUint16(50) },
  ];
}

const crcType = 0x03;
const noopType = 0x04;

/** @returns what is wrong with them, in words. */
function readTlvs(header: Uint8Array, from: number): ProxyHeader["tlvs"] | string {
  const tlvs: { type: number; value: Uint8Array }[] = [];
  for (let at = from; at < header.length; ) {
    if (at + 3 > header.length) return "it ends within a TLV";
    const type = header[at] as number;
    const length = ((header[at + 1] as number) << 8) | (header[at + 2] as number);
    const end = at + 3 + length;
    if (end > header.length) return "a TLV is longer than the header";
    const value = Uint8Array.from(header.subarray(at + 3, end));
    if (type === crcType) {
      const sum = value.length === 4 ? new DataView(value.buffer).getUint32(0) : -1;
      if (sum !== crc32c(header, at + 3, end)) return "its checksum does not fit";
    }
    if (type !== noopType) tlvs.push({ type, value });
    at = end;
  }
  return tlvs;
}

function found(
  version: 1 | 2,
  length: number,
  source: ProxyHeader["source"],
  destination: ProxyHeader["destination"],
  tlvs: ProxyHeader["tlvs"] = [],
): ProxyReading {
  return { state: "header", length, header: { version, source, destination, tlvs } };
}
