const wanted = "keep-alive";

/**
 * The Keep-Alive header in an answer's headers as undici hands them on, name and value in turns; "": there is none. This is done for
 * every answer, and nearly every answer on a connection says the same: bytes are compared, and only what is new becomes a string.
 *
 * @param known what the answer before it said.
 */
export function keepAliveIn(headers: readonly (Buffer | string)[], known: string): string {
  let found = "";
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index];
    if (name === undefined || !spells(name, wanted, 0x20)) continue;
    const value = headers[index + 1] ?? "";
    const text = spells(value, known, 0) ? known : value.toString();
    found = found === "" ? text : `${found}, ${text}`;
  }
  return found;
}

/** Whether these bytes are that text's; with `caseBit` 0x20 letters of either case are, if the text is lower-case. */
function spells(bytes: Buffer | string, text: string, caseBit: number): boolean {
  if (bytes.length !== text.length) return false;
  for (let index = 0; index < text.length; index++) {
    const byte = typeof bytes === "string" ? bytes.charCodeAt(index) : (bytes[index] ?? 0);
    if ((byte | caseBit) !== (text.charCodeAt(index) | caseBit)) return false;
  }
  return true;
}

/**
 * Whether a request bears an Idempotency-Key, in any of the forms in which undici takes headers; null: they can be read only once, and
 * have been.
 */
export function hasIdempotencyKey(headers: unknown): boolean | null {
  if (typeof headers !== "object" || headers === null) return false;
  if (Array.isArray(headers))
    return headers.some((name, index) => index % 2 === 0 && isKey(name) && isFilled(headers[index + 1]));
  if (!(Symbol.iterator in headers))
    return Object.entries(headers).some(([name, value]) => isKey(name) && isFilled(value));
  const pairs = headers as Iterable<readonly [unknown, unknown]>;
  if ((pairs as unknown) === pairs[Symbol.iterator]()) return null;
  for (const [name, value] of pairs) if (isKey(name) && isFilled(value)) return true;
  return false;
}

function isKey(name: unknown): boolean {
  return typeof name === "string" && name.toLowerCase() === "idempotency-key";
}

function isFilled(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}
