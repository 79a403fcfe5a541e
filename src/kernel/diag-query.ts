import { DeadpeerError } from "../errors.js";
import { AF_INET, AF_INET6, IPPROTO_TCP } from "./abi.js";
import { isInNetwork, type Network, parseNetwork } from "./addresses.js";
import { assembleFilter, type DiagCondition } from "./diag-filter.js";
import { addressShape, diagMessage, INET_DIAG_INFO } from "./diag-socket.js";
import { encodeAttribute } from "./netlink.js";
import { stateNumber, type TcpState } from "./tcp-states.js";

/** What to list; everything that is given must hold. */
export interface DiagQuery {
  readonly states?: readonly TcpState[];
  readonly families?: readonly (4 | 6)[];
  readonly local?: DiagEndpointQuery;
  readonly remote?: DiagEndpointQuery;
  /** On either side. */
  readonly port?: number;
  /** Whether `info` is filled; costs about half as much again. */
  readonly info?: boolean;
}

export interface DiagEndpointQuery {
  /** An address or a network in CIDR notation. */
  readonly address?: string;
  readonly port?: number;
}

const INET_DIAG_REQ_BYTECODE = 1;

/** struct inet_diag_req_v2; the socket id that ends it (48 bytes) only matters for requests about one socket. */
const request = { family: 0, protocol: 1, extensions: 2, states: 4, bytes: 56 } as const;

const SYN_RECV = stateNumber("SYN_RECV");
const NEW_SYN_RECV = stateNumber("NEW_SYN_RECV");
/** Bits 1 (ESTABLISHED) to 12 (NEW_SYN_RECV): every state of a connection or listener. */
const allStates = 0x1ffe;

/** The query in the forms that the kernel and the decoder need. */
export class DiagFilter {
  readonly #families: readonly (4 | 6)[];
  readonly #states: number;
  readonly #info: boolean;
  readonly #local: Endpoint;
  readonly #remote: Endpoint;
  readonly #port: number | null;
  /** Nothing to check but the state. */
  readonly #acceptsAll: boolean;

  constructor(query: DiagQuery) {
    this.#families = query.families ?? [4, 6];
    this.#states = query.states === undefined ? allStates : stateMask(query.states);
    this.#info = query.info === true;
    this.#local = endpoint(query.local);
    this.#remote = endpoint(query.remote);
    this.#port = checkPort(query.port);
    this.#acceptsAll =
      this.#families.includes(4) &&
      this.#families.includes(6) &&
      [query.local, query.remote, query.port].every((part) => part === undefined);
  }

  /** The kernel's tables to look through. IPv4 connections are also found among IPv6 sockets: mapped ones. */
  kernelFamilies(): number[] {
    if (this.#states === 0 || this.#families.length === 0) return [];
    const asked = (family: 4 | 6): boolean =>
      this.#families.includes(family) &&
      [this.#local, this.#remote].every(({ network }) => network === null || network.family === family);
    if (asked(4)) return [AF_INET, AF_INET6];
    return asked(6) ? [AF_INET6] : [];
  }

  encode(family: number): Buffer {
    const bytes = Buffer.alloc(request.bytes);
    bytes[request.family] = family;
    bytes[request.protocol] = IPPROTO_TCP;
    bytes[request.extensions] = this.#info ? 1 << (INET_DIAG_INFO - 1) : 0;
    bytes.writeUInt32LE(this.#states, request.states);
    const program = assembleFilter({ kind: "all", of: this.#conditions(family) });
    if (program.length === 0) return bytes;
    return Buffer.concat([bytes, encodeAttribute(INET_DIAG_REQ_BYTECODE, program)]);
  }

  /** What the kernel can check: never more than `accepts` asks for. */
  #conditions(family: number): DiagCondition[] {
    const conditions: DiagCondition[] = [];
    for (const [side, { network, port }] of [
      ["local", this.#local],
      ["remote", this.#remote],
    ] as const) {
      const usable = network !== null && !containsUnspecified(network) ? network : null;
      if (usable !== null || port !== null)
        conditions.push({ kind: "endpoint", side, network: usable, port });
    }
    if (this.#port !== null) conditions.push(eitherSide({ network: null, port: this.#port }));
    // Of the IPv6 sockets only the mapped ones are wanted.
    if (family === AF_INET6 && !this.#families.includes(6))
      conditions.push(eitherSide({ network: everyIpv4, port: null }));
    return conditions;
  }

  /** Whether the socket described at `start` is asked for. Says no less than what the kernel was asked. */
  accepts(bytes: Buffer, start: number): boolean {
    // A socket may change between the kernel's check and its description.
    if (((this.#states >>> (bytes[start + diagMessage.state] as number)) & 1) === 0) return false;
    if (this.#acceptsAll) return true;
    const shape = addressShape(bytes, start);
    if (!this.#families.includes(shape.family)) return false;
    const localPort = bytes.readUInt16BE(start + diagMessage.localPort);
    const remotePort = bytes.readUInt16BE(start + diagMessage.remotePort);
    if (this.#port !== null && this.#port !== localPort && this.#port !== remotePort) return false;
    return (
      matches(this.#local, bytes, shape.family, shape.local, localPort) &&
      matches(this.#remote, bytes, shape.family, shape.remote, remotePort)
    );
  }
}

interface Endpoint {
  readonly network: Network | null;
  readonly port: number | null;
}

const everyIpv4 = parseNetwork("0.0.0.0/0");

function eitherSide(endpoint: Endpoint): DiagCondition {
  return {
    kind: "any",
    of: [
      { kind: "endpoint", side: "local", ...endpoint },
      { kind: "endpoint", side: "remote", ...endpoint },
    ],
  };
}

function endpoint(query: DiagEndpointQuery | undefined): Endpoint {
  return {
    network: query?.address === undefined ? null : parseNetwork(query.address),
    port: checkPort(query?.port),
  };
}

function checkPort(port: number | undefined): number | null {
  if (port === undefined) return null;
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new DeadpeerError("bad-address", `${port} is not a port; ports go from 0 to 65535`);
}

function stateMask(states: readonly TcpState[]): number {
  let mask = 0;
  for (const state of states) mask |= 1 << stateNumber(state);
  // Half-open connections are kept as NEW_SYN_RECV and described as SYN_RECV (inet_req_diag_fill).
  const halfOpen = (1 << SYN_RECV) | (1 << NEW_SYN_RECV);
  if ((mask & halfOpen) !== 0) mask |= halfOpen;
  return mask & allStates;
}

/**
 * An IPv6 socket with one mapped and one unspecified address (a listener, one that is connecting) is shown with 0.0.0.0; the
 * kernel compares `::` and would not find it.
 */
function containsUnspecified(network: Network): boolean {
  return network.family === 4 && isInNetwork(zeros, 0, network);
}

const zeros = new Uint8Array(16);

function matches(wanted: Endpoint, bytes: Buffer, family: 4 | 6, address: number, port: number): boolean {
  if (wanted.port !== null && wanted.port !== port) return false;
  if (wanted.network === null) return true;
  return wanted.network.family === family && isInNetwork(bytes, address, wanted.network);
}
