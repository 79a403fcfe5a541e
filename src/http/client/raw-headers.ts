const wanted = "keep-alive";

/**
 * The Keep-Alive header in an answer's headers as undici hands them on, name and value in turns; "": there is none. Looks at the length
 * of each name first, and then at its first letter ("connection" is as long), for this is done for every answer.
 */
export function keepAliveIn(headers: readonly (Buffer | string)[]): string {
  let found = "";
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = headers[index];
    if (name?.length !== wanted.length || !startsWithK(name) || name.toString().toLowerCase() !== wanted)
      continue;
    const value = headers[index + 1]?.toString() ?? "";
    found = found === "" ? value : `${found}, ${value}`;
  }
  return found;
}

function startsWithK(name: Buffer | string): boolean {
  const first = typeof name === "string" ? name.charCodeAt(0) : name[0];
  return first === 0x6b || first === 0x4b;
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
