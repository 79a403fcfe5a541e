/**
 * Which requests may be sent a second time. A request that was written to a reused connection and never answered may nevertheless have
 * been carried out: the server may have read it and died. So only what means the same when done twice is sent again.
 */

/** RFC 9110, section 9.2.2. */
const idempotentMethods = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

/**
 * With an Idempotency-Key the server itself takes care that a request is done once (draft-ietf-httpapi-idempotency-key-header).
 *
 * @example mayRepeat("POST", false) // false
 */
export function mayRepeat(method: string, hasIdempotencyKey: boolean): boolean {
  return idempotentMethods.has(method) || hasIdempotencyKey;
}

/**
 * How a connection ends that the server had closed before the request reached it: it is reset, or read to its end, and what is written
 * to it then fails. What the program did itself (abort, timeout, destroy) bears other codes.
 */
const endedByPeer = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "ECONNABORTED"]);

export function isEndedByPeer(error: unknown): boolean {
  return endedByPeer.has((error as NodeJS.ErrnoException | null)?.code ?? "");
}

/** The same over HTTP/2, as undici tells it of the stream that hears of it first. */
export function isHalfClosed(error: unknown): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === "UND_ERR_INFO" && /half-closed|closed before the response/.test(message);
}
