import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError } from "../../../src/errors.js";
import { numberReader, parseEventFormat, valueNames } from "../../../src/kernel/trace/event-format.js";

/** As Linux 6.18 writes it, shortened. */
const text = `name: tcp_send_reset
ID: 2280
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:const void * skaddr;	offset:16;	size:8;	signed:0;
	field:enum sk_rst_reason reason;	offset:28;	size:4;	signed:0;
	field:__u8 saddr[28];	offset:32;	size:28;	signed:0;

print fmt: "skaddr=%p state=%s reason=%s", REC->skaddr, REC->state ? __print_symbolic(REC->state, { TCP_LISTEN, "TCP_LISTEN" }) : "UNKNOWN", __print_symbolic(REC->reason, { 0, "NOT_SPECIFIED" }, { 15, "TCP_KEEPALIVE_TIMEOUT" }, { 25, "MAX" })
`;

describe("the description of a trace event", () => {
  const format = parseEventFormat(text);

  test("has a name, a number and fields", () => {
    assert.equal(format.name, "tcp_send_reset");
    assert.equal(format.id, 2280);
    assert.deepEqual(format.fields.get("saddr"), { offset: 32, size: 28, signed: false });
    assert.deepEqual(format.fields.get("common_pid"), { offset: 4, size: 4, signed: true });
    assert.equal(format.fields.get("daddr"), undefined);
  });

  test("names values, as far as the kernel names them by number", () => {
    assert.deepEqual(
      [...valueNames(format, "reason")],
      [
        [0, "NOT_SPECIFIED"],
        [15, "TCP_KEEPALIVE_TIMEOUT"],
        [25, "MAX"],
      ],
    );
    assert.equal(valueNames(format, "state").size, 0);
    assert.equal(valueNames(format, "nothing").size, 0);
  });

  test("without a name or a number is refused", () => {
    for (const wrong of ["", "name: x\n", "ID: 7\n", text.replace("2280", "many")])
      assert.throws(
        () => parseEventFormat(wrong),
        (error) => error instanceof DeadpeerError && error.code === "feature-missing",
      );
  });

  test("never makes its reader throw anything else, whatever it says", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...text.split(/(?<=[;\n{}",])/)), { maxLength: 60 }), (parts) => {
        try {
          const read = parseEventFormat(`name: x\nID: 1\n${parts.join("")}`);
          for (const field of read.fields.keys()) valueNames(read, field);
        } catch (error) {
          assert.ok(error instanceof DeadpeerError);
        }
      }),
    );
  });
});

test("numbers are read in the size and sign that the kernel gives them", () => {
  const bytes = Buffer.alloc(16, 0xff);
  const value = (size: number, signed: boolean): number | undefined => {
    const fields = new Map([["x", { offset: 4, size, signed }]]);
    return numberReader({ name: "", id: 1, printFormat: "", fields }, "x")?.(bytes, 2);
  };
  assert.equal(value(1, false), 255);
  assert.equal(value(2, false), 65_535);
  assert.equal(value(4, false), 4_294_967_295);
  assert.equal(value(4, true), -1);
  // A kernel address: what all of them begin with is left out.
  assert.equal(value(8, false), Number.MAX_SAFE_INTEGER);
  assert.equal(value(16, false), undefined);
});
