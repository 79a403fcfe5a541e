import { isIP, type Socket } from "node:net";
import { isInNetwork, type Network, parseNetwork } from "../../kernel/addresses.js";

/** The address of whoever comes through a Unix socket: it has none, and the file's permissions say who may. */
const unix = "unix";

/** Where a connection comes from. One that was reset before it was looked at has lost its peer's address, but not its own. */
export function addressOf({ remoteAddress, localAddress }: Socket): string {
  return remoteAddress ?? (localAddress === undefined ? unix : "");
}

/**
 * Addresses that are trusted, and perhaps `unix`.
 *
 * @example new Networks(["10.0.0.0/8", "::1"]).has("::ffff:10.1.2.3") // true
 */
export class Networks {
  readonly #networks: readonly Network[];
  readonly #unix: boolean;

  /** @throws DeadpeerError `bad-address`, naming the text. */
  constructor(texts: readonly string[]) {
    this.#unix = texts.includes(unix);
    this.#networks = texts.filter((text) => text !== unix).map((text) => parseNetwork(text));
  }

  has(address: string): boolean {
    if (address === unix) return this.#unix;
    const bare = address.split("%", 1)[0] ?? "";
    if (isIP(bare) === 0) return false;
    const { family, bytes } = parseNetwork(bare);
    return this.#networks.some((network) => network.family === family && isInNetwork(bytes, 0, network));
  }
}
