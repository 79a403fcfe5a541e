import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseNetwork } from "../../src/kernel/addresses.js";
import { assembleFilter, type DiagCondition } from "../../src/kernel/diag-filter.js";

function endpoint(side: "local" | "remote", address: string | null, port: number | null): DiagCondition {
  return { kind: "endpoint", side, network: address === null ? null : parseNetwork(address), port };
}

/** code, yes, no little-endian; then family, prefix, padding, port little-endian, address. */
const cases: [string, DiagCondition, string][] = [
  ["nothing to check is an empty program", { kind: "all", of: [] }, ""],
  ["a local port", endpoint("local", null, 22), "070c1000 00000000 16000000"],
  ["a remote port", endpoint("remote", null, 65_535), "080c1000 00000000 ffff0000"],
  ["port 0 is a port", endpoint("remote", null, 0), "080c1000 00000000 00000000"],
  ["a network with any port", endpoint("remote", "10.0.0.0/8", null), "08101400 02080000 ffffffff 0a000000"],
  ["an address and port", endpoint("local", "127.0.0.1", 80), "07101400 02200000 50000000 7f000001"],
  [
    "an IPv6 network",
    endpoint("local", "2001:db8::/32", null),
    "071c2000 0a200000 ffffffff 20010db8 00000000 00000000 00000000",
  ],
  [
    "both: the first's failure jumps behind the second's end",
    { kind: "all", of: [endpoint("local", null, 1), endpoint("remote", null, 2)] },
    "070c1c00 00000000 01000000 080c1000 00000000 02000000",
  ],
  [
    "either: the first's success jumps over the second, its failure onto it",
    { kind: "any", of: [endpoint("local", null, 1), endpoint("remote", null, 1)] },
    "070c1000 00000000 01000000 01041000 080c1000 00000000 01000000",
  ],
  [
    "both of (a, either): only jumps out of a part are moved",
    {
      kind: "all",
      of: [
        { kind: "any", of: [endpoint("local", null, 1), endpoint("remote", null, 1)] },
        endpoint("local", null, 3),
      ],
    },
    "070c1000 00000000 01000000 01041000 080c1c00 00000000 01000000 070c1000 00000000 03000000",
  ],
];

describe("the kernel's filter programs, byte by byte", () => {
  for (const [name, condition, hex] of cases)
    test(name, () => {
      assert.equal(assembleFilter(condition).toString("hex"), hex.replaceAll(" ", ""));
    });
});
