import { DeadpeerError } from "../../errors.js";
import type { Hop } from "../../http/chain/hop.js";
import { readHop } from "../../http/chain/read-hop.js";
import { parseDuration } from "../../plan/duration.js";
import { nearest } from "../../plan/nearest.js";

/** What commander makes of the command line. */
export interface ChainCommandOptions {
  readonly client?: string;
  readonly proxy?: readonly string[];
  readonly server?: string;
  readonly upstream?: string;
  readonly margin: string;
  readonly check?: true | string;
  readonly json?: true;
}

export interface ChainRequest {
  /** From the client on. */
  readonly hops: readonly Hop[];
  readonly marginMs: number;
}

/** @throws DeadpeerError `bad-option`, `bad-duration`, `bad-configuration`, `unknown-path`. */
export function readChain({
  client,
  proxy = [],
  server,
  upstream,
  margin,
}: ChainCommandOptions): ChainRequest {
  const only = upstream ?? null;
  if (only !== null && proxy.length === 0)
    throw new DeadpeerError(
      "bad-option",
      "--upstream says which of a proxy's upstreams is meant; give --proxy too",
    );
  const hops = [
    ...(client === undefined ? [] : [readHop(client, "client", null)]),
    ...readProxies(proxy, only),
    ...(server === undefined ? [] : [readHop(server, "server", null)]),
  ];
  if (hops.length < 2)
    throw new DeadpeerError(
      "bad-option",
      "a chain has two hops or more; give at least two of --client, --proxy and --server",
    );
  return { hops, marginMs: parseDuration(margin, "--margin") };
}

/** The upstream is picked in each configuration that has one of that name. */
function readProxies(proxies: readonly string[], only: string | null): Hop[] {
  const hops = proxies.map((given) => readHop(given, "proxy", null));
  if (only === null) return hops;
  const names = hops.flatMap(({ upstreams }) => upstreams);
  if (!names.includes(only)) {
    const guess = nearest(only, names);
    throw new DeadpeerError(
      "bad-option",
      `--upstream ${only}: no proxy has an upstream, backend or cluster of that name${guess === undefined ? "" : `; did you mean ${guess}?`}`,
    );
  }
  return hops.map((hop, index) =>
    hop.upstreams.includes(only) ? readHop(proxies[index] ?? "", "proxy", only) : hop,
  );
}
