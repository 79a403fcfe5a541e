import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import * as fc from "fast-check";
import { type ElfFacts, type ReadAt, readElf } from "../../../src/host/advise/elf.js";
import { without } from "../../plan/snippets/programs.js";

/** As a file is read: nothing behind its end. */
function reading(bytes: Buffer): ReadAt {
  return (offset, length) => bytes.subarray(offset, offset + length);
}

interface Headers {
  readonly wide: boolean;
  readonly little: boolean;
  readonly interpreter?: string;
  /** Name and type. */
  readonly note?: readonly [string, number];
}

/** The smallest file with these program headers (elf(5)), in either width and byte order. */
function elfFile({ wide, little, interpreter, note }: Headers): Buffer {
  const bytes = Buffer.alloc(512);
  bytes.write("\x7fELF", "latin1");
  bytes[4] = wide ? 2 : 1;
  bytes[5] = little ? 1 : 2;
  const u16 = (value: number, at: number): unknown =>
    little ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at);
  const u32 = (value: number, at: number): unknown =>
    little ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at);
  const word = (value: number, at: number): unknown =>
    wide
      ? little
        ? bytes.writeBigUInt64LE(BigInt(value), at)
        : bytes.writeBigUInt64BE(BigInt(value), at)
      : u32(value, at);
  const size = wide ? 56 : 32;
  word(64, wide ? 32 : 28);
  u16(size, wide ? 54 : 42);
  const segments = [
    ...(interpreter === undefined ? [] : [{ type: 3, at: 300, length: interpreter.length + 1 }]),
    ...(note === undefined ? [] : [{ type: 4, at: 400, length: 40 }]),
  ];
  u16(segments.length, wide ? 56 : 44);
  for (const [index, { type, at, length }] of segments.entries()) {
    const entry = 64 + index * size;
    u32(type, entry);
    word(at, entry + (wide ? 8 : 4));
    word(length, entry + (wide ? 32 : 16));
  }
  bytes.write(interpreter ?? "", 300, "latin1");
  if (note !== undefined) {
    // A note of another kind comes first, with a name and a descriptor that are padded.
    u32(5, 400);
    u32(1, 404);
    bytes.write("abcd", 412, "latin1");
    u32(note[0].length + 1, 424);
    u32(4, 428);
    u32(note[1], 432);
    bytes.write(note[0], 436, "latin1");
  }
  return bytes;
}

const layouts = [true, false].flatMap((wide) => [true, false].map((little) => ({ wide, little })));

function factsOf(headers: Headers): ElfFacts | null {
  return readElf(reading(elfFile(headers)));
}

describe("readElf", () => {
  for (const layout of layouts) {
    const name = `${layout.wide ? 64 : 32} bits, ${layout.little ? "little" : "big"} endian`;
    test(`${name}: what the program headers say`, () => {
      const none = { linking: "static", interpreter: null, libc: null, language: null };
      assert.deepEqual(factsOf(layout), none);
      assert.deepEqual(factsOf({ ...layout, note: ["GNU", 1] }), { ...none, libc: "glibc" });
      assert.deepEqual(factsOf({ ...layout, note: ["GNU", 3] }), none);
      assert.deepEqual(factsOf({ ...layout, note: ["Go", 4] }), { ...none, language: "go" });
      for (const [interpreter, libc] of [
        ["/lib64/ld-linux-x86-64.so.2", "glibc"],
        ["/lib/ld-linux-aarch64.so.1", "glibc"],
        ["/lib64/ld64.so.2", "glibc"],
        ["/lib/ld.so.1", "glibc"],
        ["/lib/ld-musl-x86_64.so.1", "musl"],
        ["/system/bin/linker64", null],
      ] as const)
        assert.deepEqual(factsOf({ ...layout, interpreter }), {
          linking: "dynamic",
          interpreter,
          libc,
          language: null,
        });
    });
  }

  test("what is no ELF file", () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from("#!/bin/sh\n"),
      Buffer.alloc(512),
      Buffer.from("\x7fELF", "latin1"),
    ])
      assert.equal(readElf(reading(bytes)), null);
  });

  test("cut off anywhere, or damaged, it yields what can be read and never throws", () => {
    const whole = readFileSync(process.execPath).subarray(0, 4_096);
    for (const bytes of [
      whole,
      elfFile({ wide: false, little: false, interpreter: "/lib/ld.so.1", note: ["Go", 4] }),
    ])
      for (let length = 0; length <= Math.min(bytes.length, 1_024); length++)
        readElf(reading(bytes.subarray(0, length)));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(511), fc.nat(255)), { maxLength: 24 }),
        fc.constantFrom(...layouts),
        (changes, layout) => {
          const bytes = elfFile({ ...layout, interpreter: "/lib/ld.so.1", note: ["GNU", 1] });
          for (const [at, value] of changes) bytes[at] = value;
          let read = 0;
          readElf((offset, length) => {
            assert.ok(Number.isSafeInteger(offset) && offset >= 0 && length >= 0 && length <= 4_194_304);
            assert.ok(++read < 100_000);
            return bytes.subarray(offset, offset + length);
          });
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

/** What gcc, go or rustc makes of the smallest program. */
function built(folder: string, source: string, text: string, ...command: readonly string[]): ElfFacts | null {
  writeFileSync(join(folder, source), text);
  const [program = "", ...args] = command;
  const env = {
    ...process.env,
    GOCACHE: join(folder, "cache"),
    GOFLAGS: "-mod=mod",
    GOPROXY: "off",
    CGO_ENABLED: "0",
  };
  execFileSync(program, [...args, "-o", "out", source], {
    cwd: folder,
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  return readElf(reading(readFileSync(join(folder, "out"))));
}

describe("readElf of what compilers really make", () => {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-elf-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const dynamic = { linking: "dynamic", libc: "glibc" };

  test("gcc: dynamic, and static in each way, stripped of all that can go", { skip: without("gcc") }, () => {
    const c = "int main(void) { return 0; }\n";
    const { interpreter, ...facts } = built(folder, "one.c", c, "gcc") ?? { interpreter: null };
    assert.match(interpreter ?? "", /\/ld-linux/);
    assert.deepEqual(facts, { ...dynamic, language: null });
    for (const options of [["-static"], ["-static-pie"], ["-static", "-s"]])
      assert.deepEqual(built(folder, "one.c", c, "gcc", ...options), {
        linking: "static",
        interpreter: null,
        libc: "glibc",
        language: null,
      });
  });

  test("go, also without symbols", { skip: without("go") }, () => {
    const go = { linking: "static", interpreter: null, libc: null, language: "go" };
    for (const options of [[], ["-ldflags=-s -w"]])
      assert.deepEqual(
        built(folder, "one.go", "package main\nfunc main() {}\n", "go", "build", ...options),
        go,
      );
  });

  test("rustc", { skip: without("rustc") }, () => {
    const { interpreter: _, ...facts } = built(folder, "one.rs", "fn main() {}\n", "rustc") ?? {
      interpreter: null,
    };
    assert.deepEqual(facts, { ...dynamic, language: "rust" });
  });
});
