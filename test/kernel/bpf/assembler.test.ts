import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Assembler, Label } from "../../../src/kernel/bpf/assembler.js";

/** Instructions as hexadecimal text: operation, registers, offset, immediate (RFC 9669, section 3). */
function hex(code: Assembler): string[] {
  const bytes = code.assemble();
  return Array.from({ length: bytes.length / 8 }, (_, index) =>
    [
      [0, 1],
      [1, 2],
      [2, 4],
      [4, 8],
    ]
      .map(([from, to]) => bytes.toString("hex", index * 8 + (from ?? 0), index * 8 + (to ?? 0)))
      .join(" "),
  );
}

describe("each instruction's bytes", () => {
  for (const [what, write, expected] of [
    ["r1 = 0", (code: Assembler) => code.setImmediate(1, 0), "b7 01 0000 00000000"],
    ["r9 = 2^31 - 1", (code: Assembler) => code.setImmediate(9, 0x7fff_ffff), "b7 09 0000 ffffff7f"],
    ["r0 = -1", (code: Assembler) => code.setImmediate(0, -1), "b7 00 0000 ffffffff"],
    ["w3 = 2^32 - 1", (code: Assembler) => code.setWord(3, 0xffff_ffff), "b4 03 0000 ffffffff"],
    ["r6 = r1", (code: Assembler) => code.move(6, 1), "bf 16 0000 00000000"],
    ["r10 as the source", (code: Assembler) => code.move(4, 10), "bf a4 0000 00000000"],
    ["r4 += -8", (code: Assembler) => code.add(4, -8), "07 04 0000 f8ffffff"],
    ["w2 &= 0xffffff00", (code: Assembler) => code.andWord(2, 0xffff_ff00), "54 02 0000 00ffffff"],
    ["r8 = -r8", (code: Assembler) => code.negate(8), "87 08 0000 00000000"],
    ["r1 = be16 r1", (code: Assembler) => code.fromNetwork(1, 16), "dc 01 0000 10000000"],
    ["r1 = be32 r1", (code: Assembler) => code.fromNetwork(1, 32), "dc 01 0000 20000000"],
    ["w0 = *(u32 *)(r6 + 68)", (code: Assembler) => code.load("word", 0, 6, 68), "61 60 4400 00000000"],
    ["r0 = *(u64 *)(r10 - 8)", (code: Assembler) => code.load("double", 0, 10, -8), "79 a0 f8ff 00000000"],
    ["*(u32 *)(r6 + 4) = r0", (code: Assembler) => code.store("word", 6, 4, 0), "63 06 0400 00000000"],
    ["*(u64 *)(r2 + 32) = r8", (code: Assembler) => code.store("double", 2, 32, 8), "7b 82 2000 00000000"],
    [
      "*(u32 *)(r10 - 8) = 60",
      (code: Assembler) => code.storeImmediate("word", 10, -8, 60),
      "62 0a f8ff 3c000000",
    ],
    ["lock *(u64 *)(r2 + 16) += r1", (code: Assembler) => code.addToMemory(2, 16, 1), "db 12 1000 00000000"],
    ["call 49", (code: Assembler) => code.call(49), "85 00 0000 31000000"],
    ["exit", (code: Assembler) => code.exit(), "95 00 0000 00000000"],
  ] as const)
    test(what, () => assert.deepEqual(hex(write(new Assembler())), [expected]));

  test("a map's value takes two", () =>
    assert.deepEqual(hex(new Assembler().mapValue(2, 7, 44)), [
      "18 22 0000 07000000",
      "00 00 0000 2c000000",
    ]));

  test("what does not fit is refused", () => {
    assert.throws(() => new Assembler().setImmediate(0, 2 ** 31), RangeError);
    assert.throws(() => new Assembler().load("word", 0, 1, 2 ** 15), RangeError);
    assert.throws(() => new Assembler().add(0, -(2 ** 31) - 1), RangeError);
  });
});

const far = (instructions: number): Buffer => {
  const end = new Label();
  const code = new Assembler().jump(end);
  for (let index = 0; index < instructions; index++) code.exit();
  return code.place(end).exit().assemble();
};

describe("jumps", () => {
  test("count from the instruction behind them, forwards, to the next, and backwards", () => {
    const [start, next, end] = [new Label(), new Label(), new Label()];
    const code = new Assembler()
      .place(start)
      .jumpIf(0, "!=", 4, end)
      .jump(next)
      .place(next)
      .jumpIfRegister(1, ">", 2, start)
      .jumpIf(0, "signed <", -1, end)
      .place(end)
      .exit();
    assert.deepEqual(hex(code), [
      "55 00 0300 04000000",
      "05 00 0000 00000000",
      "2d 21 fdff 00000000",
      "c5 00 0000 ffffffff",
      "95 00 0000 00000000",
    ]);
  });

  test("reach as far as 16 bits do, and no further", () => {
    assert.equal(far(32_767).readInt16LE(2), 32_767);
    assert.throws(() => far(32_768), RangeError);
  });

  test("lead to one place, which there is", () => {
    const label = new Label();
    assert.throws(() => new Assembler().jump(label).assemble(), /never placed/);
    const code = new Assembler().place(label);
    assert.throws(() => code.place(label), /one place only/);
  });
});
