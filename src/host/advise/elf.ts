/** What an executable's own headers say of it. */
export interface ElfFacts {
  /** "static": no dynamic linker is asked for, so that nothing can be preloaded. */
  readonly linking: "static" | "dynamic";
  /** The dynamic linker, e.g. `/lib64/ld-linux-x86-64.so.2`; null for a static one. */
  readonly interpreter: string | null;
  /** null: another one, none, or it cannot be seen. */
  readonly libc: "glibc" | "musl" | null;
  /** null: another language, or all traces of it were stripped. */
  readonly language: "go" | "rust" | null;
}

/** Reads from a place in a file; fewer bytes where it ends. */
export type ReadAt = (offset: number, length: number) => Buffer;

/** elf(5), in both widths and byte orders. */
const PT_INTERP = 3;
const PT_NOTE = 4;
const NT_GNU_ABI_TAG = 1;

/** Far above what linkers write; what claims more is damaged, and is not read. */
const limits = {
  tableBytes: 4_194_304,
  namesBytes: 1_048_576,
  noteBytes: 65_536,
  textBytes: 65_536,
} as const;

/**
 * Reads the headers of an executable. A damaged file yields what could be read of it.
 *
 * @returns null for what is no ELF file.
 * @example readElf((offset, length) => bytes.subarray(offset, offset + length))?.linking // "static"
 */
export function readElf(read: ReadAt): ElfFacts | null {
  const layout = layoutOf(read(0, 64));
  if (layout === null) return null;
  const segments = segmentsOf(read, layout);
  const interpreter = textAt(read, segments.find(({ type }) => type === PT_INTERP) ?? null);
  const notes = segments
    .filter((segment) => segment.type === PT_NOTE && isReadable(segment))
    .flatMap(({ offset, size }) => notesIn(layout, read(offset, Math.min(size, limits.noteBytes))));
  const sections = sectionsOf(read, layout);
  return {
    linking: interpreter === null ? "static" : "dynamic",
    interpreter,
    libc: libcOf(interpreter, notes),
    language: languageOf(read, notes, sections),
  };
}

function libcOf(interpreter: string | null, notes: readonly Note[]): ElfFacts["libc"] {
  if (interpreter?.includes("/ld-musl-") === true) return "musl";
  if (interpreter !== null) return /\/ld(-linux[^/]*|64|)\.so\.\d+$/.test(interpreter) ? "glibc" : null;
  // glibc's start files bring this note (csu/abi-note.c), those of musl none.
  return notes.some(({ name, type }) => name === "GNU" && type === NT_GNU_ABI_TAG) ? "glibc" : null;
}

function languageOf(
  read: ReadAt,
  notes: readonly Note[],
  sections: readonly Section[],
): ElfFacts["language"] {
  // cmd/link writes the note and the section; either survives some strippers.
  if (notes.some(({ name }) => name === "Go") || sections.some(({ name }) => name === ".go.buildinfo"))
    return "go";
  const comment = sections.find(({ name }) => name === ".comment");
  if (comment === undefined) return null;
  const text = read(comment.offset, Math.min(comment.size, limits.textBytes)).toString("latin1");
  return text.includes("rustc version") ? "rust" : null;
}

/** Where an ELF header of this width has its fields, and how its numbers are read. */
interface Layout {
  readonly wide: boolean;
  readonly u16: (bytes: Buffer, offset: number) => number;
  readonly u32: (bytes: Buffer, offset: number) => number;
  /** An address or an offset, as wide as the file. */
  readonly word: (bytes: Buffer, offset: number) => number;
  readonly header: Buffer;
}

function layoutOf(header: Buffer): Layout | null {
  if (header.length < 52 || header.readUInt32BE(0) !== 0x7f_45_4c_46) return null;
  const wide = header[4] === 2;
  if ((!wide && header[4] !== 1) || (wide && header.length < 64)) return null;
  const little = header[5] === 1;
  if (!little && header[5] !== 2) return null;
  const u32 = (bytes: Buffer, offset: number): number =>
    little ? bytes.readUInt32LE(offset) : bytes.readUInt32BE(offset);
  return {
    wide,
    u16: (bytes, offset) => (little ? bytes.readUInt16LE(offset) : bytes.readUInt16BE(offset)),
    u32,
    word: (bytes, offset) =>
      wide
        ? Number(little ? bytes.readBigUInt64LE(offset) : bytes.readBigUInt64BE(offset))
        : u32(bytes, offset),
    header,
  };
}

interface Extent {
  readonly offset: number;
  readonly size: number;
}

interface Segment extends Extent {
  readonly type: number;
}

interface Section extends Extent {
  readonly name: string;
}

function segmentsOf(read: ReadAt, layout: Layout): Segment[] {
  const { header, wide, u16, u32, word } = layout;
  const place = {
    offset: word(header, wide ? 32 : 28),
    each: u16(header, wide ? 54 : 42),
    count: u16(header, wide ? 56 : 44),
  };
  return entries(read, place, wide ? 56 : 32).map((entry) => ({
    type: u32(entry, 0),
    offset: word(entry, wide ? 8 : 4),
    size: word(entry, wide ? 32 : 16),
  }));
}

/** None where they were stripped. */
function sectionsOf(read: ReadAt, layout: Layout): Section[] {
  const { header, wide, u16, u32, word } = layout;
  const place = {
    offset: word(header, wide ? 40 : 32),
    each: u16(header, wide ? 58 : 46),
    count: u16(header, wide ? 60 : 48),
  };
  const found = entries(read, place, wide ? 64 : 40).map((entry) => ({
    nameAt: u32(entry, 0),
    offset: word(entry, wide ? 24 : 16),
    size: word(entry, wide ? 32 : 20),
  }));
  const table = found[u16(header, wide ? 62 : 50)];
  if (table === undefined || !isReadable(table)) return [];
  const names = read(table.offset, Math.min(table.size, limits.namesBytes));
  return found
    .filter(isReadable)
    .map(({ nameAt, offset, size }) => ({ name: stringAt(names, nameAt), offset, size }));
}

function entries(
  read: ReadAt,
  { offset, each, count }: { readonly offset: number; readonly each: number; readonly count: number },
  least: number,
): Buffer[] {
  if (each < least || count * each > limits.tableBytes || !isReadable({ offset, size: 0 })) return [];
  const table = read(offset, count * each);
  const whole = Math.floor(table.length / each);
  return Array.from({ length: whole }, (_, index) => table.subarray(index * each, (index + 1) * each));
}

interface Note {
  readonly name: string;
  readonly type: number;
}

/** Name and descriptor of a note are each padded to four bytes. */
function notesIn({ u32 }: Layout, bytes: Buffer): Note[] {
  const notes: Note[] = [];
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameBytes = u32(bytes, at);
    const descriptorBytes = u32(bytes, at + 4);
    notes.push({ name: stringAt(bytes.subarray(at + 12, at + 12 + nameBytes), 0), type: u32(bytes, at + 8) });
    at += 12 + padded(nameBytes) + padded(descriptorBytes);
  }
  return notes;
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function textAt(read: ReadAt, extent: Extent | null): string | null {
  if (extent === null || !isReadable(extent)) return null;
  return stringAt(read(extent.offset, Math.min(extent.size, limits.textBytes)), 0);
}

/** The string up to its NUL byte. */
function stringAt(bytes: Buffer, start: number): string {
  const end = bytes.indexOf(0, start);
  return bytes.toString("latin1", start, end < 0 ? bytes.length : end);
}

/** A damaged file may name places that no file has. */
function isReadable({ offset, size }: Extent): boolean {
  return Number.isSafeInteger(offset) && Number.isSafeInteger(size);
}
