import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { DeadpeerError, type ErrorCode } from "../../src/errors.js";
import { syscallError } from "../../src/kernel/libc.js";
import { dump, encodeAttribute, encodeRequest, findAttribute } from "../../src/kernel/netlink.js";
import type { NetlinkChannel } from "../../src/kernel/netlink-channel.js";

const type = 20;
const port = 4711;
const sequence = 1;
const ERROR = 2;
const DONE = 3;
const OVERRUN = 4;
const MULTI = 0x2;
const DUMP_INTR = 0x10;
const CAPPED = 0x100;
const ACK_TLVS = 0x200;

function packet(kind: number, payload: Buffer, flags = MULTI, answers = { sequence, port }): Buffer {
  const bytes = encodeRequest(kind, flags, answers.sequence, payload);
  bytes.writeUInt32LE(answers.port, 12);
  return bytes;
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

const item = (value: number, flags = MULTI): Buffer => packet(type, number(value), flags);
const done = packet(DONE, number(0));

/** Answers each attempt with the next list of datagrams; an error in the list is thrown. */
class FakeKernel {
  opened = 0;
  closed = 0;
  readonly sent: Buffer[] = [];
  readonly #attempts: readonly (readonly (Buffer | Error)[])[];

  constructor(...attempts: (readonly (Buffer | Error)[])[]) {
    this.#attempts = attempts;
  }

  readonly open = (): NetlinkChannel => {
    // The last answer is the answer from then on.
    const queue = [...(this.#attempts[Math.min(this.opened, this.#attempts.length - 1)] ?? [])];
    this.opened++;
    return {
      port,
      send: (message) => {
        this.sent.push(message);
      },
      receive: (into) => {
        const next = queue.shift();
        if (next === undefined) return null;
        if (next instanceof Error) throw next;
        next.copy(into);
        return next.length;
      },
      [Symbol.dispose]: () => {
        this.closed++;
      },
    };
  };

  dump(): { items: number[]; interrupted: boolean } {
    return dump<number>(this.open, type, Buffer.from("payload"), (bytes, start, end, into) => {
      assert.ok(end - start >= 0 && end <= bytes.length);
      if (end - start >= 4) into.push(bytes.readInt32LE(start));
    });
  }
}

function failsWith(code: ErrorCode, message: RegExp, errno?: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof DeadpeerError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.equal(error.errno, errno);
    return true;
  };
}

describe("a dump", () => {
  test("asks once and gathers all datagrams", () => {
    const kernel = new FakeKernel([Buffer.concat([item(1), item(2)]), item(3), done]);
    assert.deepEqual(kernel.dump(), { items: [1, 2, 3], interrupted: false });
    assert.equal(kernel.closed, 1);
    // Length 23, type 20, NLM_F_REQUEST | NLM_F_DUMP, sequence 1, port 0, payload, one byte of padding.
    assert.equal(
      kernel.sent[0]?.toString("hex"),
      `17000000140001030100000000000000${Buffer.from("payload\0").toString("hex")}`,
    );
  });

  test("keeps what stands behind the end of the last message out", () => {
    const kernel = new FakeKernel([Buffer.concat([item(1), done, item(2)])]);
    assert.deepEqual(kernel.dump().items, [1]);
  });

  test("passes answers to somebody else over", () => {
    const strangers = [
      packet(type, number(8), MULTI, { sequence: 2, port }),
      packet(type, number(9), MULTI, { sequence, port: 1 }),
      packet(DONE, number(0), MULTI, { sequence: 2, port }),
      packet(ERROR, number(-1), MULTI, { sequence: 2, port }),
    ];
    assert.deepEqual(new FakeKernel([...strangers, item(1), done]).dump().items, [1]);
  });

  test("passes netlink's own empty messages and acknowledgements over", () => {
    const kernel = new FakeKernel([packet(1, Buffer.alloc(0)), packet(ERROR, number(0)), item(1), done]);
    assert.deepEqual(kernel.dump().items, [1]);
  });

  test("ends without an error number as before Linux 2.6.12", () => {
    assert.deepEqual(new FakeKernel([item(1), packet(DONE, Buffer.alloc(0))]).dump().items, [1]);
  });
});

describe("a dump that was disturbed", () => {
  test("by changes is made again", () => {
    const kernel = new FakeKernel([item(1, MULTI | DUMP_INTR), done], [item(2), done]);
    assert.deepEqual(kernel.dump(), { items: [2], interrupted: false });
    assert.equal(kernel.closed, 2);
  });

  test("by changes that only its end tells of, too", () => {
    const kernel = new FakeKernel([item(1), packet(DONE, number(0), MULTI | DUMP_INTR)], [item(2), done]);
    assert.deepEqual(kernel.dump(), { items: [2], interrupted: false });
  });

  test("by changes each time is given with a flag", () => {
    const kernel = new FakeKernel([item(1, MULTI | DUMP_INTR), done]);
    assert.deepEqual(kernel.dump(), { items: [1], interrupted: true });
    assert.equal(kernel.opened, 4);
    assert.equal(kernel.closed, 4);
  });

  test("by too small a buffer is made again with a larger one", () => {
    const large = packet(type, Buffer.concat([number(7), Buffer.alloc(2_000_000)]));
    const kernel = new FakeKernel([large, done]);
    assert.deepEqual(kernel.dump(), { items: [7], interrupted: false });
    assert.equal(kernel.opened, 2);
  });

  test("by lack of buffer space is made again, and then reported", () => {
    const lack = syscallError(105, "recv(AF_NETLINK)");
    assert.deepEqual(new FakeKernel([item(1), lack], [item(2), done]).dump().items, [2]);
    const never = new FakeKernel([lack]);
    assert.throws(() => never.dump(), failsWith("syscall-failed", /ENOBUFS/, "ENOBUFS"));
    assert.equal(never.opened, 4);
    assert.equal(never.closed, 4);
  });
});

describe("an error of the kernel's", () => {
  test("has its errno", () => {
    const kernel = new FakeKernel([packet(ERROR, Buffer.concat([number(-22), Buffer.alloc(16)]), 0)]);
    assert.throws(() => kernel.dump(), failsWith("syscall-failed", /EINVAL/, "EINVAL"));
    assert.equal(kernel.closed, 1);
  });

  test("may stand at the end of the dump", () => {
    assert.throws(
      () => new FakeKernel([item(1), packet(DONE, number(-1))]).dump(),
      failsWith("permission-denied", /EPERM/, "EPERM"),
    );
  });

  const text = encodeAttribute(1, Buffer.from("Invalid filter\0"));
  const request = encodeRequest(type, 0, sequence, Buffer.from("payload"));
  const cases: [string, Buffer][] = [
    [
      "with the request's header",
      packet(ERROR, Buffer.concat([number(-22), request.subarray(0, 16), text]), CAPPED | ACK_TLVS),
    ],
    ["with the whole request", packet(ERROR, Buffer.concat([number(-22), request, text]), ACK_TLVS)],
    ["at the end of a dump", packet(DONE, Buffer.concat([number(-22), text]), ACK_TLVS)],
    [
      "behind another attribute",
      packet(DONE, Buffer.concat([number(-22), encodeAttribute(2, number(4)), text]), ACK_TLVS),
    ],
  ];
  for (const [name, answer] of cases)
    test(`is explained in the kernel's words, ${name}`, () => {
      assert.throws(
        () => new FakeKernel([answer]).dump(),
        failsWith("syscall-failed", /\(EINVAL\): Invalid filter$/, "EINVAL"),
      );
    });
});

describe("an answer that cannot be read", () => {
  const cases: [string, Buffer[]][] = [
    ["no end", [item(1)]],
    ["nothing at all", []],
    ["half a header", [item(1).subarray(0, 12)]],
    ["a length below the header's", [encodeLength(8)]],
    ["a length beyond the datagram", [encodeLength(24)]],
    ["an error without a number", [packet(ERROR, Buffer.alloc(2))]],
    ["a positive error number", [packet(ERROR, number(22))]],
    ["an overrun", [packet(OVERRUN, Buffer.alloc(0))]],
  ];
  for (const [name, datagrams] of cases)
    test(name, () => {
      const kernel = new FakeKernel(datagrams);
      assert.throws(() => kernel.dump(), failsWith("netlink-protocol", /cannot be read/));
      assert.equal(kernel.closed, 1);
    });

  function encodeLength(length: number): Buffer {
    const bytes = item(1);
    bytes.writeUInt32LE(length, 0);
    return bytes;
  }

  test("any bytes give items or a DeadpeerError, and the channel is closed", () => {
    const header = fc
      .record({
        length: fc.nat(64),
        kind: fc.constantFrom(0, 1, ERROR, DONE, OVERRUN, type),
        flags: fc.constantFrom(0, MULTI, DUMP_INTR, CAPPED, ACK_TLVS, ACK_TLVS | CAPPED),
        payload: fc.uint8Array({ maxLength: 48 }),
      })
      .map(({ length, kind, flags, payload }) => {
        const bytes = packet(kind, Buffer.from(payload), flags);
        if (length > 56) bytes.writeUInt32LE(length, 0);
        return bytes;
      });
    const datagram = fc.oneof(
      fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
      fc.array(header, { maxLength: 4 }).map((list) => Buffer.concat(list)),
    );
    fc.assert(
      fc.property(fc.array(datagram, { maxLength: 4 }), (datagrams) => {
        const kernel = new FakeKernel(datagrams);
        try {
          kernel.dump();
        } catch (error) {
          assert.ok(error instanceof DeadpeerError, String(error));
        }
        assert.equal(kernel.closed, kernel.opened);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("attributes", () => {
  const list = Buffer.concat([
    encodeAttribute(8, Buffer.of(1)),
    encodeAttribute(2, Buffer.from("abcd")),
    encodeAttribute(2, Buffer.from("e")),
  ]);

  test("are padded to four bytes", () => {
    assert.equal(list.toString("hex"), "050008000100000008000200616263640500020065000000");
  });

  test("the first of a type is found, whatever flags its type carries", () => {
    assert.deepEqual(findAttribute(list, 0, list.length, 2), { start: 12, end: 16 });
    const nested = encodeAttribute(0x8002, Buffer.from("x"));
    assert.deepEqual(findAttribute(nested, 0, nested.length, 2), { start: 4, end: 5 });
    assert.equal(findAttribute(list, 0, list.length, 3), null);
  });

  test("one that is cut off is not there", () => {
    for (let end = 0; end < 16; end++) assert.equal(findAttribute(list, 0, end, 2), null, `${end} bytes`);
  });

  test("none is found outside of its bytes, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(40), fc.nat(4), (bytes, cut, wanted) => {
        const end = Math.min(cut, bytes.length);
        const found = findAttribute(Buffer.from(bytes), 0, end, wanted);
        if (found !== null) assert.ok(found.start >= 4 && found.start <= found.end && found.end <= end);
      }),
    );
  });
});
