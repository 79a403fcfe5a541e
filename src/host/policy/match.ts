import { AF_INET, AF_INET6 } from "../../kernel/abi.js";
import { type Network, parseNetwork } from "../../kernel/addresses.js";
import { type Assembler, Label, type Register } from "../../kernel/bpf/assembler.js";
import type { EndpointFilter } from "../address.js";

/** Where a program's context tells a connection's ends. Addresses are in network order. */
export interface EndsInContext {
  readonly base: Register;
  readonly family: number;
  readonly remoteIpv4: number;
  readonly remoteIpv6: number;
  /** Loads a port in the machine's order. */
  loadRemotePort(code: Assembler, into: Register): void;
  loadLocalPort(code: Assembler, into: Register): void;
}

/** 0xffff between the zeros and the IPv4 address of a mapped one (RFC 4291 section 2.5.5.2), as a word in network order. */
const mappedWord = 0xffff_0000;

// What the tests work with; r1 and r2 are the caller's.
const probe: Register = 0;
const wanted: Register = 3;
const ipv4: Register = 4;

/**
 * Writes the tests of a policy's filters: goes on behind them for a connection that fits, to `otherwise` for any other. Any of the
 * ports has to fit, at either end, and any of the remote ends. An IPv6 socket's connection to a mapped address is one over IPv4.
 * Changes r0, r3 and r4.
 */
export function writeMatch(
  code: Assembler,
  ends: EndsInContext,
  ports: readonly number[],
  remotes: readonly EndpointFilter[],
  otherwise: Label,
): void {
  if (ports.length > 0) writePorts(code, ends, ports, otherwise);
  if (remotes.length > 0) writeRemotes(code, ends, remotes, otherwise);
}

function writePorts(code: Assembler, ends: EndsInContext, ports: readonly number[], otherwise: Label): void {
  const fits = new Label();
  ends.loadRemotePort(code, probe);
  for (const port of ports) code.jumpIf(probe, "==", port, fits);
  ends.loadLocalPort(code, probe);
  for (const port of ports) code.jumpIf(probe, "==", port, fits);
  code.jump(otherwise).place(fits);
}

interface Remote {
  /** null: any address. */
  readonly network: Network | null;
  readonly port: number | null;
}

function writeRemotes(
  code: Assembler,
  ends: EndsInContext,
  filters: readonly EndpointFilter[],
  otherwise: Label,
): void {
  const remotes: Remote[] = filters.map(({ network, port }) => ({
    network: network === null ? null : parseNetwork(network),
    port,
  }));
  const overIpv4 = new Label();
  const overIpv6 = new Label();
  const known = new Label();
  const fits = new Label();
  code
    .load("word", probe, ends.base, ends.family)
    .jumpIf(probe, "==", AF_INET, overIpv4)
    .jumpIf(probe, "!=", AF_INET6, otherwise)
    .load("word", probe, ends.base, ends.remoteIpv6)
    .jumpIf(probe, "!=", 0, overIpv6)
    .load("word", probe, ends.base, ends.remoteIpv6 + 4)
    .jumpIf(probe, "!=", 0, overIpv6)
    .load("word", probe, ends.base, ends.remoteIpv6 + 8)
    .setWord(wanted, mappedWord)
    .jumpIfRegister(probe, "!=", wanted, overIpv6)
    .load("word", ipv4, ends.base, ends.remoteIpv6 + 12)
    .jump(known)
    .place(overIpv4)
    .load("word", ipv4, ends.base, ends.remoteIpv4)
    .place(known);
  const writeFamily = (family: 4 | 6, loadWord: (index: number) => void): void => {
    const ofFamily = remotes.filter(({ network }) => network === null || network.family === family);
    // The kernel refuses instructions that nothing leads to, such as those behind what fits all.
    if (ofFamily.some(({ network, port }) => port === null && (network?.prefixLength ?? 0) === 0)) {
      code.jump(fits);
      return;
    }
    for (const remote of ofFamily) writeRemote(code, ends, remote, fits, loadWord);
    code.jump(otherwise);
  };
  writeFamily(4, () => code.move(probe, ipv4));
  code.place(overIpv6);
  writeFamily(6, (word) => code.load("word", probe, ends.base, ends.remoteIpv6 + word * 4));
  code.place(fits);
}

/** Jumps to `fits` if the remote end is the one meant. */
function writeRemote(
  code: Assembler,
  ends: EndsInContext,
  { network, port }: Remote,
  fits: Label,
  loadWord: (index: number) => void,
): void {
  const next = new Label();
  if (network !== null) {
    const bytes = Buffer.from(network.bytes);
    for (let word = 0; word * 32 < network.prefixLength; word++) {
      // Both sides of the comparison stay in network order; only the mask has to be turned.
      const mask = swapped(prefixMask(network.prefixLength - word * 32));
      loadWord(word);
      if (mask !== 0xffff_ffff) code.andWord(probe, mask);
      code.setWord(wanted, (bytes.readUInt32LE(word * 4) & mask) >>> 0);
      code.jumpIfRegister(probe, "!=", wanted, next);
    }
  }
  if (port !== null) {
    ends.loadRemotePort(code, probe);
    code.jumpIf(probe, "!=", port, next);
  }
  code.jump(fits).place(next);
}

/** The first `bits` of a word. */
function prefixMask(bits: number): number {
  return bits >= 32 ? 0xffff_ffff : ~(0xffff_ffff >>> bits) >>> 0;
}

function swapped(word: number): number {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(word);
  return bytes.readUInt32LE();
}
