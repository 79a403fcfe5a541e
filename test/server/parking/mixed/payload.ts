/** What a message asks of the server, beside being taken. */
export const wish = { nothing: 0, reply: 1, replyLater: 2, evict: 3 } as const;

const head = 9;

/**
 * A message that proves itself: whose it is, a checksum with its place in the stream worked in, a wish, and bytes from a seed.
 *
 * @param nonce of the life that it belongs to.
 * @param random as from `randomFrom`.
 */
export function payloadOf(
  { nonce, sequence, flag, length }: { nonce: number; sequence: number; flag: number; length: number },
  random: (below: number) => number,
): Buffer {
  const payload = Buffer.allocUnsafe(head + length);
  payload.writeUInt32BE(nonce, 0);
  payload[8] = flag;
  // A word for every four bytes is random enough, and quick.
  for (let at = head; at < payload.length; at++)
    payload[at] = at % 64 === 0 ? random(256) : (at * 31 + nonce) & 0xff;
  payload.writeUInt32BE(sumOf(payload, sequence), 4);
  return payload;
}

/** @returns null: it is not what was sent in that place. */
export function readPayload(payload: Uint8Array, sequence: number): { nonce: number; flag: number } | null {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  if (bytes.length < head || bytes.readUInt32BE(4) !== sumOf(bytes, sequence)) return null;
  return { nonce: bytes.readUInt32BE(0), flag: bytes[8] ?? 0 };
}

/** FNV-1a over everything but the sum itself. */
function sumOf(payload: Buffer, sequence: number): number {
  let sum = Math.imul(0x811c9dc5 ^ sequence, 0x01000193);
  for (let at = 0; at < payload.length; at++)
    if (at < 4 || at >= 8) sum = Math.imul(sum ^ (payload[at] ?? 0), 0x01000193);
  return sum >>> 0;
}
