import { DeadpeerError } from "../../errors.js";

/** Where a field of an event lies, counted from the event's first byte. */
export interface EventField {
  readonly offset: number;
  readonly size: number;
  readonly signed: boolean;
}

/**
 * What one trace event of this very kernel looks like. Fields come, go and move between kernels, so none is ever assumed to lie
 * anywhere, or to be there at all.
 */
export interface EventFormat {
  readonly name: string;
  /** What its records begin with (`common_type`). */
  readonly id: number;
  readonly fields: ReadonlyMap<string, EventField>;
  /** How the kernel would print it, as C: the only place where it names the values of a field. */
  readonly printFormat: string;
}

/**
 * Reads an event's `format` file.
 *
 * @throws DeadpeerError `feature-missing` for a text without name or number.
 * @example parseEventFormat(readFileSync(`${instance}/events/tcp/tcp_send_reset/format`, "utf8")).fields.get("reason")
 */
export function parseEventFormat(text: string): EventFormat {
  const name = /^name: (\S+)$/m.exec(text)?.[1];
  const id = Number(/^ID: (\d+)$/m.exec(text)?.[1]);
  if (name === undefined || !Number.isInteger(id))
    throw new DeadpeerError("feature-missing", "this kernel describes its trace events in an unknown way");
  return { name, id, fields: parseFields(text), printFormat: /^print fmt: (.*)$/m.exec(text)?.[1] ?? "" };
}

/** The fields that a `format` or `header_page` file describes, by name. */
export function parseFields(text: string): Map<string, EventField> {
  const fields = new Map<string, EventField>();
  //	field:__u8 saddr_v6[16];	offset:40;	size:16;	signed:0;
  const line = /^\s*field:(.*);\s*offset:(\d+);\s*size:(\d+);(?:\s*signed:(\d);)?\s*$/gm;
  for (const [, declaration = "", offset, size, signed] of text.matchAll(line)) {
    const field = /(\w+)(?:\[[^\]]*\])?$/.exec(declaration)?.[1];
    if (field !== undefined)
      fields.set(field, { offset: Number(offset), size: Number(size), signed: signed === "1" });
  }
  return fields;
}

/**
 * The names that a kernel prints for a field's values; empty where it prints the number. They are not the same in every kernel:
 * reasons are inserted in the midst of their list.
 *
 * @example valueNames(format, "reason").get(15) // "TCP_KEEPALIVE_TIMEOUT", in Linux 6.18
 */
export function valueNames({ printFormat }: EventFormat, field: string): Map<number, string> {
  const names = new Map<number, string>();
  const start = printFormat.indexOf(`__print_symbolic(REC->${field},`);
  if (start < 0) return names;
  const pair = /\s*[,(]\s*\{\s*(\w+)\s*,\s*"([^"]*)"\s*\}/y;
  pair.lastIndex = printFormat.indexOf(",", start);
  for (let found = pair.exec(printFormat); found !== null; found = pair.exec(printFormat))
    if (/^\d+$/.test(found[1] ?? "")) names.set(Number(found[1]), found[2] ?? "");
  return names;
}

/** Reads a field from an event that begins at `at`. */
export type FieldReader = (bytes: Buffer, at: number) => number;

/**
 * A reader for a whole number of one, two, four or eight bytes, in this machine's order; null where the event has no such field.
 * Eight bytes are read as far as a number holds them exactly: kernel addresses, whose upper bits are all ones, by the lower 53.
 */
export function numberReader({ fields }: EventFormat, name: string): FieldReader | null {
  const field = fields.get(name);
  if (field === undefined) return null;
  const { offset, signed } = field;
  switch (field.size) {
    case 1:
      return (bytes, at) => bytes[at + offset] as number;
    case 2:
      return (bytes, at) => bytes.readUInt16LE(at + offset);
    case 4:
      return signed
        ? (bytes, at) => bytes.readInt32LE(at + offset)
        : (bytes, at) => bytes.readUInt32LE(at + offset);
    case 8:
      return (bytes, at) =>
        bytes.readUInt32LE(at + offset) + (bytes.readUInt32LE(at + offset + 4) & 0x1f_ffff) * 0x1_0000_0000;
    default:
      return null;
  }
}
