import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../src/errors.js";
import { endpointTest, parseEndpoint } from "../../src/host/address.js";

const parse = (text: string): unknown => parseEndpoint(text, "--remote");

describe("one end as people write it", () => {
  const cases: readonly [text: string, network: string | null, port: number | null][] = [
    ["10.0.0.5", "10.0.0.5/32", null],
    ["10.0.0.5:5432", "10.0.0.5/32", 5_432],
    ["10.0.0.0/8", "10.0.0.0/8", null],
    ["10.0.0.0/8:5432", "10.0.0.0/8", 5_432],
    ["*:443", null, 443],
    [":443", null, 443],
    ["*", null, null],
    ["10.0.0.5:*", "10.0.0.5/32", null],
    ["::1", "::1/128", null],
    ["[::1]", "::1/128", null],
    ["[::1]:80", "::1/128", 80],
    ["2001:db8::/32", "2001:db8::/32", null],
    ["[2001:db8::]/32", "2001:db8::/32", null],
    ["[2001:db8::]/32:443", "2001:db8::/32", 443],
    ["[2001:db8::/32]:443", "2001:db8::/32", 443],
    ["::ffff:10.0.0.5", "10.0.0.5/32", null],
    [" 10.0.0.5:80 ", "10.0.0.5/32", 80],
  ];
  for (const [text, network, port] of cases)
    test(JSON.stringify(text), () => assert.deepEqual(parse(text), { network, port }));

  const refused: readonly [text: string, code: string, says: RegExp][] = [
    ["", "bad-address", /missing/],
    ["db.example.com", "bad-address", /not an IP address/],
    ["10.0.0.5/64", "bad-address", /0 to 32/],
    ["2001:db8::/129", "bad-address", /0 to 128/],
    ["10.0.0.5/", "bad-address", /prefix length/],
    ["10.0.0.300", "bad-address", /not an IP address/],
    ["[10.0.0.5]:80", "bad-address", /not an IPv6 address/],
    ["[::1", "bad-address", /brackets/],
    ["fe80::1%eth0", "bad-address", /not an IP address/],
    ["10.0.0.5:70000", "bad-filter", /1 to 65535/],
    ["10.0.0.5:0", "bad-filter", /1 to 65535/],
    ["*:http", "bad-filter", /1 to 65535/],
  ];
  for (const [text, code, says] of refused)
    test(`${JSON.stringify(text)} is refused, and the option named`, () =>
      assert.throws(
        () => parse(text),
        (error) => {
          assert(error instanceof DeadpeerError);
          assert.equal(error.code, code);
          assert.match(error.message, says);
          assert.match(error.message, /^--remote: [^\n]*$/);
          return true;
        },
      ));

  test("every address and port is read back as it was written", () => {
    const v4 = fc.ipV4().map((address) => ({ address, bits: 32, text: address }));
    const v6 = fc.ipV6().map((address) => ({ address, bits: 128, text: `[${address}]` }));
    fc.assert(
      fc.property(fc.oneof(v4, v6), fc.integer({ min: 1, max: 65_535 }), ({ address, text }, port) => {
        const filter = parseEndpoint(`${text}:${port}`, "--remote");
        assert.equal(filter.port, port);
        assert(endpointTest([filter])({ address, port }));
        assert(!endpointTest([filter])({ address, port: port === 1 ? 2 : port - 1 }));
      }),
    );
  });

  test("whatever is written is read or refused, never a defect", () => {
    const character = fc.constantFrom(...Array.from("0123456789abcdef:./[]*% x"));
    fc.assert(
      fc.property(fc.array(character, { maxLength: 24 }), (characters) => {
        try {
          parse(characters.join(""));
        } catch (error) {
          assert(error instanceof DeadpeerError);
          assert.match(error.code, /^bad-(address|filter)$/);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("which ends fit", () => {
  test("any of several", () => {
    const fits = endpointTest([parseEndpoint("10.0.0.0/8", "--local"), parseEndpoint("*:443", "--local")]);
    assert(fits({ address: "10.200.3.4", port: 1 }));
    assert(fits({ address: "2001:db8::1", port: 443 }));
    assert(!fits({ address: "11.0.0.1", port: 80 }));
    assert(!fits({ address: "2001:db8::1", port: 80 }));
  });

  test("no filter fits everything", () => assert(endpointTest([])({ address: "::1", port: 1 })));
});
