/**
 * The unsigned 32-bit number at an offset that is known to lie within the bytes, in the machine's order: little-endian wherever
 * deadpeer runs. Shifts and one multiplication, where Buffer's own reader checks again what the caller has checked.
 */
export function word(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16)) +
    (bytes[at + 3] as number) * 0x100_0000
  );
}

/** As word, 16 bits. */
export function half(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}
