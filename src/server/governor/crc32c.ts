/** Castagnoli's polynomial, reflected (RFC 3720 appendix B.4). */
const polynomial = 0x82f63b78;
const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 0 ? rest >>> 1 : (rest >>> 1) ^ polynomial;
  return rest;
});

/**
 * The CRC32c of some bytes, those from `zeroFrom` to `zeroTo` taken as zeros.
 *
 * @example crc32c(Buffer.from("123456789")) // 0xe3069283
 */
export function crc32c(bytes: Uint8Array, zeroFrom = 0, zeroTo = 0): number {
  let crc = 0xffff_ffff;
  for (const [index, byte] of bytes.entries()) {
    const counted = index >= zeroFrom && index < zeroTo ? 0 : byte;
    crc = (crc >>> 8) ^ (table[(crc ^ counted) & 0xff] as number);
  }
  return ~crc >>> 0;
}
