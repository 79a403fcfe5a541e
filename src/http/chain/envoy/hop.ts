import { badConfiguration } from "../config-error.js";
import { deepest, snakeCased } from "./field-names.js";
import { type Hop, type Keeping, type Role, type Sending, type Span } from "../hop.js";

/** HttpProtocolOptions.idle_timeout, of listeners and clusters alike. */
const defaultIdleMs = 3_600_000;
const upstreamOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const managerName = "http_connection_manager";

type Node = Readonly<Record<string, unknown>>;

interface Found {
  readonly value: unknown;
  readonly place: string;
}

/**
 * What an Envoy does with idle connections, on both sides, from its bootstrap or from listeners and clusters alone. Of several listeners
 * the shortest time counts, of several clusters the longest.
 *
 * Pure.
 *
 * @param only the cluster that is meant; null: those that routes name, or all.
 * @throws DeadpeerError `bad-configuration`
 */
export function envoyHop(document: unknown, role: Role, given: string, only: string | null): Hop {
  const root = snakeCased(document, given);
  const managers: { node: Node; place: string }[] = [];
  const routed = new Set<string>();
  /** A request's header, or a plugin, names the cluster. */
  let anywhere = false;
  visit(root, given, (node, place) => {
    const type = text(node, "@type");
    if (type.includes("HttpConnectionManager")) managers.push({ node, place });
    else if (text(node, "name").includes(managerName) && isNode(node["config"]))
      managers.push({ node: node["config"], place: `${place}.config` });
    if (!isNode(node["route"])) return;
    for (const name of clusterNames(node["route"])) routed.add(name);
    if (otherWays.some((way) => isNode(node["route"]) && way in node["route"])) anywhere = true;
  });
  const all = clustersOf(root, given);
  const wanted = all.filter(({ node }) => {
    const name = text(node, "name");
    return only === null ? anywhere || routed.size === 0 || routed.has(name) : name === only;
  });
  if (managers.length === 0 && all.length === 0 && !(isNode(root) && parts.some((part) => part in root)))
    throw badConfiguration(
      given,
      "is no configuration of Envoy's: it has neither listeners nor clusters; nginx:FILE and the like say what a file is",
    );
  return {
    role,
    given,
    name: `Envoy (${given})`,
    sending: role === "server" ? null : sendingOf(wanted.length > 0 || only !== null ? wanted : all),
    keeping: role === "client" ? null : keepingOf(managers),
    forgetsMs: null,
    upstreams: all.map(({ node }) => text(node, "name")),
    unknown: { sending: "has no clusters", keeping: "has no HTTP connection manager" },
    faults: [],
  };
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A field that ought to be text; "" where it is none. */
function text(node: Node, field: string): string {
  const value = node[field];
  return typeof value === "string" ? value : "";
}

/** @throws DeadpeerError `bad-configuration` */
function visit(value: unknown, place: string, each: (node: Node, place: string) => void, depth = 0): void {
  if (typeof value !== "object" || value === null) return;
  if (depth > deepest)
    throw badConfiguration(place.slice(0, 80), `nodes within nodes, more than ${deepest} deep`);
  if (Array.isArray(value)) {
    for (const [index, inner] of value.entries()) visit(inner, `${place}[${index}]`, each, depth + 1);
    return;
  }
  if (!isNode(value)) return;
  each(value, place);
  for (const [name, inner] of Object.entries(value)) visit(inner, `${place}.${name}`, each, depth + 1);
}

/** Of a route's action, besides names. */
const otherWays = ["cluster_header", "cluster_specifier_plugin", "inline_cluster_specifier_plugin"];
/** Of a bootstrap, and of what a control plane hands out. */
const parts = [
  "static_resources",
  "dynamic_resources",
  "resources",
  "listeners",
  "clusters",
  "filter_chains",
];

function clusterNames(route: Node): string[] {
  const weighted = isNode(route["weighted_clusters"]) ? route["weighted_clusters"]["clusters"] : null;
  const names = Array.isArray(weighted) ? weighted.map((one) => (isNode(one) ? one["name"] : null)) : [];
  return [route["cluster"], ...names].filter((name) => typeof name === "string");
}

function clustersOf(root: unknown, given: string): { node: Node; place: string }[] {
  if (!isNode(root)) return [];
  const resources = isNode(root["static_resources"]) ? root["static_resources"] : root;
  // What a control plane hands out is a list of resources, each with its type.
  const listed = Array.isArray(root["resources"])
    ? root["resources"].filter((one) => isNode(one) && text(one, "@type").endsWith(".Cluster"))
    : resources["clusters"];
  return Array.isArray(listed)
    ? listed.filter(isNode).map((node) => ({ node, place: `${given}: cluster ${text(node, "name")}` }))
    : [];
}

function keepingOf(managers: readonly { readonly node: Node; readonly place: string }[]): Keeping | null {
  const spans = managers.map(({ node, place }) =>
    span(option(node, "idle_timeout", place), "idle_timeout of the HTTP connection manager"),
  );
  const shortest = spans.toSorted((a, b) => (a.ms ?? Infinity) - (b.ms ?? Infinity))[0];
  if (shortest === undefined) return null;
  return {
    noKeepAlive: null,
    keepAlive: shortest,
    advertisedMs: null,
    set: (ms) => `http_connection_manager: common_http_protocol_options: { idle_timeout: ${seconds(ms)} }`,
  };
}

function sendingOf(clusters: readonly { readonly node: Node; readonly place: string }[]): Sending | null {
  const found = clusters.map(({ node, place }) => {
    const extensions = node["typed_extension_protocol_options"];
    const typed =
      isNode(extensions) && isNode(extensions[upstreamOptions]) ? extensions[upstreamOptions] : null;
    const of = (name: string): Found | null =>
      (typed === null ? null : option(typed, name, place)) ?? option(node, name, place);
    const name = text(node, "name");
    const once =
      Number(of("max_requests_per_connection")?.value ?? node["max_requests_per_connection"] ?? 0) === 1;
    return { name, once, idle: span(of("idle_timeout"), `idle_timeout of cluster ${name}`) };
  });
  if (found.length === 0) return null;
  const reused = found.filter(({ once }) => !once);
  const longest = reused.toSorted((a, b) => (b.idle.ms ?? Infinity) - (a.idle.ms ?? Infinity))[0];
  return {
    noReuse:
      longest === undefined ? "opens a connection for each request (max_requests_per_connection: 1)" : null,
    idle: longest?.idle ?? { ms: null, name: "idle_timeout", place: "" },
    hint: null,
    set:
      longest === undefined
        ? null
        : (ms) =>
            `cluster ${longest.name}: typed_extension_protocol_options: { ${upstreamOptions}: { common_http_protocol_options: { idle_timeout: ${seconds(ms)} } } }`,
  };
}

/** In common_http_protocol_options, or, as it was before, beside it. */
function option(node: Node, name: string, place: string): Found | null {
  const common = node["common_http_protocol_options"];
  if (isNode(common) && common[name] !== undefined) return { value: common[name], place };
  return name === "idle_timeout" && node[name] !== undefined ? { value: node[name], place } : null;
}

function span(found: Found | null, name: string): Span {
  if (found === null) return { ms: defaultIdleMs, name, place: "default" };
  const ms = envoyDuration(found.value, found.place);
  return { ms: ms === 0 ? null : ms, name, place: found.place };
}

/** The JSON form of google.protobuf.Duration: "3.5s". */
function envoyDuration(value: unknown, place: string): number {
  const [, number] = typeof value === "string" ? (/^(\d+(?:\.\d{1,9})?)s$/.exec(value) ?? []) : [];
  if (number === undefined)
    throw badConfiguration(place, `idle_timeout ${JSON.stringify(value)} is not a duration such as "60s"`);
  const ms = Number(number) * 1_000;
  if (ms > Number.MAX_SAFE_INTEGER) throw badConfiguration(place, "idle_timeout is too long");
  return ms;
}

/** @example seconds(1_500) // "1.5s" */
function seconds(ms: number): string {
  return `${ms / 1_000}s`;
}
