import {
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_IMM,
  BPF_JA,
  BPF_JEQ,
  BPF_JGT,
  BPF_JMP,
  BPF_JNE,
  BPF_JSLT,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_MEM,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STX,
  BPF_TO_BE,
  BPF_W,
  BPF_X,
} from "./abi.js";

/** r0 takes results, r1 to r5 pass arguments and are lost in calls, r6 to r9 are kept, r10 points behind the stack. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

const conditions = {
  "==": BPF_JEQ,
  "!=": BPF_JNE,
  ">": BPF_JGT,
  "signed <": BPF_JSLT,
} as const;
const sizes = { word: BPF_W, double: BPF_DW } as const;

export type Condition = keyof typeof conditions;
export type Size = keyof typeof sizes;

/** A place in a program that jumps lead to. */
export class Label {
  /** The number of the instruction that it stands before; undefined until it is placed. */
  at: number | undefined;
}

const instructionBytes = 8;

/**
 * Writes BPF programs (RFC 9669), instruction by instruction. Jumps name labels, before or after these are placed.
 *
 * @example
 * const code = new Assembler();
 * const done = new Label();
 * code.load("word", 0, 1, 0).jumpIf(0, "!=", 4, done).setImmediate(0, 1).place(done).exit();
 * loadProgram({ code: code.assemble(), … });
 */
export class Assembler {
  readonly #words: Buffer[] = [];
  readonly #jumps: { from: number; to: Label }[] = [];

  /** dst = value; 32 bits, of which the sign fills the rest. */
  setImmediate(dst: Register, value: number): this {
    return this.#emit(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
  }

  /** dst = value; 32 bits without a sign. */
  setWord(dst: Register, value: number): this {
    return this.#emit(BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, value | 0);
  }

  /** dst = src. */
  move(dst: Register, src: Register): this {
    return this.#emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
  }

  /** dst += value. */
  add(dst: Register, value: number): this {
    return this.#emit(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value);
  }

  /** dst &= mask; 32 bits, the rest becomes 0. */
  andWord(dst: Register, mask: number): this {
    return this.#emit(BPF_ALU | BPF_AND | BPF_K, dst, 0, 0, mask | 0);
  }

  /** dst = -dst. */
  negate(dst: Register): this {
    return this.#emit(BPF_ALU64 | BPF_NEG, dst, 0, 0, 0);
  }

  /** Turns the last 16 or 32 bits from network order to the machine's; the rest becomes 0. */
  fromNetwork(dst: Register, bits: 16 | 32): this {
    return this.#emit(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, bits);
  }

  /** dst = memory at src + offset. */
  load(size: Size, dst: Register, src: Register, offset: number): this {
    return this.#emit(BPF_LDX | BPF_MEM | sizes[size], dst, src, offset, 0);
  }

  /** Memory at dst + offset = src. */
  store(size: Size, dst: Register, offset: number, src: Register): this {
    return this.#emit(BPF_STX | BPF_MEM | sizes[size], dst, src, offset, 0);
  }

  /** Memory at dst + offset = value. */
  storeImmediate(size: Size, dst: Register, offset: number, value: number): this {
    return this.#emit(BPF_ST | BPF_MEM | sizes[size], dst, 0, offset, value);
  }

  /** Adds src to the 64 bits in memory at dst + offset, atomically. */
  addToMemory(dst: Register, offset: number, src: Register): this {
    return this.#emit(BPF_STX | BPF_ATOMIC | BPF_DW, dst, src, offset, BPF_ADD);
  }

  /** dst = the address of the value of an array's first element, `offset` bytes on (Linux 5.2). */
  mapValue(dst: Register, mapFd: number, offset: number): this {
    this.#emit(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_VALUE, 0, mapFd);
    return this.#emit(0, 0, 0, 0, offset);
  }

  jump(to: Label): this {
    return this.#jump(BPF_JMP | BPF_JA, 0, 0, 0, to);
  }

  /** Compares 64 bits with an immediate, whose sign is extended. */
  jumpIf(left: Register, condition: Condition, value: number, to: Label): this {
    return this.#jump(BPF_JMP | conditions[condition] | BPF_K, left, 0, value, to);
  }

  jumpIfRegister(left: Register, condition: Condition, right: Register, to: Label): this {
    return this.#jump(BPF_JMP | conditions[condition] | BPF_X, left, right, 0, to);
  }

  /** r0 = the kernel's function of that number, called with r1 to r5. */
  call(helper: number): this {
    return this.#emit(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
  }

  exit(): this {
    return this.#emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }

  /** Has the label stand for the instruction that comes next. */
  place(label: Label): this {
    if (label.at !== undefined) throw new RangeError("a label stands for one place only");
    label.at = this.#words.length;
    return this;
  }

  /** The program's bytes. */
  assemble(): Buffer {
    for (const { from, to } of this.#jumps) {
      if (to.at === undefined) throw new RangeError("a jump leads to a label that was never placed");
      // A jump counts from the instruction behind it, in 16 bits: writeInt16LE refuses what is too far.
      this.#words[from]?.writeInt16LE(to.at - from - 1, 2);
    }
    return Buffer.concat(this.#words);
  }

  #jump(code: number, dst: Register, src: Register, immediate: number, to: Label): this {
    this.#jumps.push({ from: this.#words.length, to });
    return this.#emit(code, dst, src, 0, immediate);
  }

  /** struct bpf_insn: the operation, the two registers in half a byte each, the offset, the immediate. */
  #emit(code: number, dst: Register, src: number, offset: number, immediate: number): this {
    const instruction = Buffer.alloc(instructionBytes);
    instruction.writeUInt8(code, 0);
    instruction.writeUInt8(dst | (src << 4), 1);
    instruction.writeInt16LE(offset, 2);
    instruction.writeInt32LE(immediate, 4);
    this.#words.push(instruction);
    return this;
  }
}
