import type { Policy } from "../../host/policy/find.js";
import type { EndpointFilter } from "../../host/address.js";
import type { SettingsChange } from "../../plan/settings.js";
import { seconds } from "../ls-cells.js";

/** Settings of which some may be left as they are: `60s/10s/3 U90s`, `60s/-/-`. */
export function changeText({ keepalive, userTimeoutMs }: SettingsChange): string {
  const words: string[] = [];
  if (keepalive === null) words.push("off");
  else if (keepalive !== undefined) {
    const { idleMs, intervalMs, count } = keepalive;
    words.push(`${time(idleMs)}/${time(intervalMs)}/${count ?? "-"}`);
  }
  if (userTimeoutMs !== undefined) words.push(`U${seconds(userTimeoutMs)}`);
  return words.join(" ");
}

function time(ms: number | undefined): string {
  return ms === undefined ? "-" : seconds(ms);
}

/** Which connections a policy is for; none of its filters: all. */
export function filterText({
  ports,
  remotes,
  onlyUnset,
}: Pick<Policy, "ports" | "remotes" | "onlyUnset">): string {
  const words = [
    ...(ports.length === 0 ? [] : [`port ${ports.join(",")}`]),
    ...(remotes.length === 0 ? [] : [`remote ${remotes.map(endpointText).join(",")}`]),
    ...(onlyUnset ? ["only unset"] : []),
  ];
  return words.length === 0 ? "all" : words.join(", ");
}

function endpointText({ network, port }: EndpointFilter): string {
  const address = network === null ? "*" : network.replace(/(?<=^[^:]*)\/32$|\/128$/, "");
  if (port === null) return address;
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}
