import assert from "node:assert/strict";
import { BlockList, isIPv4 } from "node:net";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../src/errors.js";
import { formatIpv4, formatIpv6, isInNetwork, isMapped, parseNetwork } from "../../src/kernel/addresses.js";

const ipv6Bytes = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // Real addresses are full of zeros.
  fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 })
    .map((list) => Uint8Array.from(list)),
);
const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });

describe("IPv6 text", () => {
  // RFC 5952 sections 4 and 5.
  const cases: [string, string][] = [
    ["20010db8000000000000000000000001", "2001:db8::1"],
    ["20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"],
    ["20010000000000010000000000000001", "2001:0:0:1::1"],
    ["20010db8000000000001000000000001", "2001:db8::1:0:0:1"],
    ["20010db80000000000000000aaaa0000", "2001:db8::aaaa:0"],
    ["00000000000000000000000000000000", "::"],
    ["00000000000000000000000000000001", "::1"],
    ["fe800000000000000000000000000000", "fe80::"],
    ["00000000000000000000ffff01020304", "::ffff:1.2.3.4"],
    // Not the mapped prefix, so no dotted form.
    ["00000000000000000000000001020304", "::102:304"],
  ];
  for (const [hex, text] of cases)
    test(text, () => {
      const bytes = Buffer.from(hex, "hex");
      assert.equal(formatIpv6(bytes, 0), text);
      assert.equal(formatIpv6(Buffer.concat([Buffer.from("ffff", "hex"), bytes]), 2), text);
    });

  test("agrees with the URL standard's serializer, which knows no dotted form", () => {
    fc.assert(
      fc.property(ipv6Bytes, (bytes) => {
        const text = formatIpv6(bytes, 0);
        if (!isMapped(bytes, 0)) assert.equal(`[${text}]`, new URL(`http://[${text}]`).hostname);
      }),
    );
  });

  test("reads back", () => {
    fc.assert(
      fc.property(ipv6Bytes, (bytes) => {
        const network = parseNetwork(formatIpv6(bytes, 0));
        const mapped = isMapped(bytes, 0);
        assert.equal(network.family, mapped ? 4 : 6);
        assert.deepEqual([...network.bytes], [...(mapped ? bytes.subarray(12) : bytes)]);
        assert.equal(network.prefixLength, mapped ? 32 : 128);
      }),
    );
  });
});

describe("networks", () => {
  test("mapped ones count as IPv4", () => {
    assert.deepEqual(parseNetwork("::ffff:10.0.0.0/104"), parseNetwork("10.0.0.0/8"));
    assert.equal(parseNetwork("::ffff:0:0/95").family, 6);
  });

  test("hold what Node's BlockList holds", () => {
    const sample = fc.oneof(
      fc.tuple(ipv4Bytes, ipv4Bytes, fc.nat(32)),
      fc.tuple(ipv6Bytes, ipv6Bytes, fc.nat(128)),
    );
    fc.assert(
      fc.property(sample, fc.boolean(), ([base, other, prefixLength], near) => {
        // Two random addresses share no long prefix: half of the time take one that differs in its last byte only.
        const candidate = near
          ? Uint8Array.from([...base.slice(0, -1), other[other.length - 1] ?? 0])
          : other;
        const format = base.length === 4 ? formatIpv4 : formatIpv6;
        fc.pre(base.length === 4 || (!isMapped(base, 0) && !isMapped(candidate, 0)));
        const family = base.length === 4 ? "ipv4" : "ipv6";
        const oracle = new BlockList();
        oracle.addSubnet(format(base, 0), prefixLength, family);
        assert.equal(
          isInNetwork(candidate, 0, parseNetwork(`${format(base, 0)}/${prefixLength}`)),
          oracle.check(format(candidate, 0), family),
        );
      }),
    );
  });

  test("what is none is named", () => {
    const texts = [
      "",
      "10.0.0",
      "10.0.0.256",
      "localhost",
      "1.2.3.4/33",
      "::/129",
      "1.2.3.4/",
      "1.2.3.4/x",
      "fe80::1%eth0",
      "[::1]",
    ];
    for (const text of texts)
      assert.throws(
        () => parseNetwork(text),
        (error) =>
          error instanceof DeadpeerError &&
          error.code === "bad-address" &&
          error.message.includes(`"${text}"`),
        text,
      );
  });

  test("any text gives a network or bad-address", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.ipV6(), fc.ipV4(), fc.stringMatching(/^[0-9a-f:.]{1,20}\/\d{0,3}$/)),
        (text) => {
          try {
            const { family, bytes, prefixLength } = parseNetwork(text);
            assert.equal(bytes.length, family === 4 ? 4 : 16);
            assert.ok(prefixLength >= 0 && prefixLength <= bytes.length * 8);
            if (isIPv4(text)) assert.equal(formatIpv4(bytes, 0), text);
          } catch (error) {
            assert.ok(error instanceof DeadpeerError && error.code === "bad-address", String(error));
          }
        },
      ),
    );
  });
});
