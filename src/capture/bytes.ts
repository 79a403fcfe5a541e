// Numbers out of bytes, without a DataView per packet. The caller has checked that the bytes are there: what lies behind the end
// of an array would read as 0.

/** @example u16(Uint8Array.of(0x12, 0x34), 0) // 0x1234 */
export function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** 32 bits in network order as a signed number: fit for comparing and adding, as sequence numbers are. */
export function i32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}

/** 32 bits, unsigned, in the byte order of the machine that wrote the capture. */
export function word32(bytes: Uint8Array, at: number, bigEndian: boolean): number {
  if (bigEndian) return i32(bytes, at) >>> 0;
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}

/** 16 bits in the byte order of the machine that wrote the capture. */
export function word16(bytes: Uint8Array, at: number, bigEndian: boolean): number {
  return bigEndian ? u16(bytes, at) : (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}
