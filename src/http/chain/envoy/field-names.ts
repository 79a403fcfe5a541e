import { badConfiguration } from "../config-error.js";

/** Deeper than any configuration of Envoy's; YAML's anchors make it possible that a node lies within itself. */
export const deepest = 100;

/**
 * The same document with its fields named as Envoy's own documents name them: protobuf's JSON form takes `idleTimeout` for `idle_timeout`,
 * and control planes (Istio's config dumps) write it so. Names with dots or dashes are the user's, and stay.
 *
 * @throws DeadpeerError `bad-configuration` where nodes lie within nodes without end.
 * @example snakeCased({ idleTimeout: "5s" }, "a.yaml") // { idle_timeout: "5s" }
 */
export function snakeCased(value: unknown, place: string, depth = 0): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth > deepest)
    throw badConfiguration(place.slice(0, 80), `nodes within nodes, more than ${deepest} deep`);
  if (Array.isArray(value)) return value.map((inner, at) => snakeCased(inner, `${place}[${at}]`, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      /^[a-z][a-z0-9]*([A-Z][a-z0-9]*)+$/.test(name)
        ? name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
        : name,
      snakeCased(inner, `${place}.${name}`, depth + 1),
    ]),
  );
}
