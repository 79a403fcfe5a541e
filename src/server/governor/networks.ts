import { isIP } from "node:net";
import { isInNetwork, type Network, parseNetwork } from "../../kernel/addresses.js";

/**
 * Addresses that are trusted.
 *
 * @example new Networks(["10.0.0.0/8", "::1"]).has("::ffff:10.1.2.3") // true
 */
export class Networks {
  readonly #networks: readonly Network[];

  /** @throws DeadpeerError `bad-address`, naming the text. */
  constructor(texts: readonly string[]) {
    this.#networks = texts.map((text) => parseNetwork(text));
  }

  has(address: string): boolean {
    const bare = address.split("%", 1)[0] ?? "";
    if (isIP(bare) === 0) return false;
    const { family, bytes } = parseNetwork(bare);
    return this.#networks.some((network) => network.family === family && isInNetwork(bytes, 0, network));
  }
}
