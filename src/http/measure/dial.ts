import { once } from "node:events";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { refusal } from "../../client/nat/connection.js";
import { type Address, formatEndpoint } from "../../client/nat/target.js";
import { DeadpeerError } from "../../errors.js";
import { systemClock } from "../../kernel/clock.js";

/** How to get to the server. */
export interface DialOptions {
  readonly address: Address;
  /** As in the URL: what the certificate is checked against. */
  readonly host: string;
  /** null: no TLS. */
  readonly tls: { readonly ca: string | null; readonly insecure: boolean } | null;
  /** Offered by ALPN, the best first. */
  readonly protocols: readonly string[];
  /** For the handshakes. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

/** A connection that stands. */
export interface Dialled {
  readonly socket: Socket | TLSSocket;
  /** What ALPN agreed on; null: nothing, or no TLS. */
  readonly alpn: string | null;
  readonly beganMs: number;
}

/**
 * Connects, with TLS where the URL asks for it. Our side is never closed by Node when the server closes its own: what happens then is
 * of interest.
 *
 * @throws DeadpeerError `cannot-connect`, also for a certificate that is not trusted; whatever `signal` is aborted with.
 */
export async function dial(options: DialOptions): Promise<Dialled> {
  const { address, tls, patienceMs, signal } = options;
  signal.throwIfAborted();
  const endpoint = formatEndpoint(address.address, address.port);
  const beganMs = systemClock.monotonic();
  const tcp = connect({
    host: address.address,
    family: address.family,
    port: address.port,
    noDelay: true,
    allowHalfOpen: true,
  });
  const abort = (): void => void tcp.destroy(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  const impatient = systemClock.set(
    () =>
      tcp.destroy(
        new DeadpeerError(
          "cannot-connect",
          `${endpoint} does not answer within ${Math.round(patienceMs / 100) / 10}s`,
        ),
      ),
    patienceMs,
  );
  try {
    await connected(tcp).catch((error: unknown) => {
      throw error instanceof DeadpeerError ? error : refusal(error, endpoint);
    });
    if (tls === null) return { socket: tcp, alpn: null, beganMs };
    const secured = await secure(tcp, endpoint, options);
    return { ...secured, beganMs };
  } catch (error) {
    tcp.destroy();
    signal.throwIfAborted();
    throw error;
  } finally {
    systemClock.clear(impatient);
    signal.removeEventListener("abort", abort);
  }
}

async function connected(socket: Socket): Promise<void> {
  await once(socket, "connect");
}

async function secure(
  tcp: Socket,
  endpoint: string,
  { host, tls, protocols }: DialOptions,
): Promise<{ socket: TLSSocket; alpn: string | null }> {
  const socket = connectTls({
    socket: tcp,
    // RFC 6066, section 3: no address is sent as a server's name; the certificate is checked against it all the same.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    host,
    ALPNProtocols: [...protocols],
    rejectUnauthorized: tls?.insecure !== true,
    ...(tls === null || tls.ca === null ? {} : { ca: tls.ca }),
  });
  // What destroys the connection below says why; this one would only say that it is gone, and may say so twice.
  socket.on("error", () => {});
  let below: unknown = null;
  tcp.on("error", (error) => {
    below = error;
    socket.destroy(error);
  });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve).once("error", reject);
      socket.once("close", () => reject(closedInHandshake));
      // Our half stays open, so that an orderly end in the handshake would be waited for until patience ends.
      socket.once("end", () => reject(closedInHandshake));
    });
  } catch (error) {
    socket.destroy();
    if (below instanceof DeadpeerError) throw below;
    throw tlsRefusal(error, endpoint);
  }
  socket.removeAllListeners("end").removeAllListeners("close");
  return { socket, alpn: socket.alpnProtocol === false ? null : socket.alpnProtocol };
}

const closedInHandshake = new Error("it closed the connection");

/** OpenSSL's and Node's codes for a certificate that is not believed begin or end in many ways. */
const untrusted =
  /CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS_CERT|HOSTNAME_MISMATCH|INVALID_CA|CRL|PATH_LENGTH_EXCEEDED/;

function tlsRefusal(error: unknown, endpoint: string): DeadpeerError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  const problem = message.split("\n")[0] ?? "";
  if (untrusted.test(code))
    return new DeadpeerError(
      "cannot-connect",
      `${endpoint}: its certificate is not trusted: ${problem} (${code}); give --ca FILE, or --insecure to measure it all the same`,
      { operation: "TLS handshake", cause: error },
    );
  // OpenSSL's messages hold the places in its source; its reason is in plain words.
  const { reason: said = problem } = error as { readonly reason?: string };
  const isPlain = code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG";
  const reason =
    code === "ECONNRESET" ? "the connection was reset" : isPlain ? `${said}; is it http:// perhaps?` : said;
  return new DeadpeerError("cannot-connect", `${endpoint} does not speak TLS with us: ${reason}`, {
    operation: "TLS handshake",
    cause: error,
  });
}
