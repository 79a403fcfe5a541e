import { existsSync } from "node:fs";
import { basename } from "node:path";
import { parseDocument } from "yaml";
import { DeadpeerError } from "../../errors.js";
import { middleboxes } from "../../plan/middleboxes.js";
import { nearest } from "../../plan/nearest.js";
import { badConfiguration } from "./config-error.js";
import { envoyHop } from "./envoy/hop.js";
import { isFigures, readFigures } from "./figures.js";
import { includedFiles, readConfiguration } from "./files.js";
import { haproxyHop } from "./haproxy/hop.js";
import { parseHaproxy } from "./haproxy/sections.js";
import type { Hop, Role } from "./hop.js";
import { isMeasured, measuredHop } from "./measured.js";
import { nginxHop } from "./nginx/hop.js";
import { parseNginx } from "./nginx/directives.js";
import { isNodeSettings, nodeHop } from "./node-settings.js";
import { readService } from "./service.js";

type Kind = "nginx" | "haproxy" | "envoy" | "node" | "measured";

/**
 * Reads one hop of a chain, in whatever way it is given: figures, a service's name, settings as JSON, or a file, whose kind its content
 * tells unless it stands before it (`nginx:FILE`).
 *
 * @param only the upstream, backend or cluster that is meant; null: all.
 * @throws DeadpeerError `bad-configuration`, `bad-option`, `bad-duration`, `unknown-path`.
 * @example readHop("idle=60s", "client", null).sending?.idle.ms // 60000
 */
export function readHop(given: string, role: Role, only: string | null): Hop {
  if (given.trim().startsWith("{")) return fromJson(given, role, given.trim(), null);
  if (isFigures(given)) return readFigures(given, role);
  const [, prefix, rest = ""] = /^(nginx|haproxy|envoy|node|measured):(.+)$/.exec(given) ?? [];
  if (prefix !== undefined) return fromFile(rest, role, only, prefix as Kind);
  if (existsSync(given) || /[/.]/.test(given)) return fromFile(given, role, only, null);
  return fromCatalogue(given, role);
}

function fromCatalogue(given: string, role: Role): Hop {
  try {
    return readService(given, role);
  } catch (error) {
    if (!(error instanceof DeadpeerError && error.code === "unknown-path")) throw error;
    const guess = nearest(
      given,
      middleboxes.flatMap(({ id, aliases = [] }) => [id].concat(aliases)),
    );
    throw new DeadpeerError(
      "unknown-path",
      `--${role} ${JSON.stringify(given)}: there is no such file, and no service of that name; did you mean ${guess}? (\`deadpeer plan --list paths\` names all)`,
      { cause: error },
    );
  }
}

function fromFile(path: string, role: Role, only: string | null, asked: Kind | null): Hop {
  const text = readConfiguration(path);
  const file = basename(path);
  if (text.trim() === "") throw badConfiguration(path, "is empty");
  if (text.includes("\0")) throw badConfiguration(path, "is no text");
  const kind = asked ?? kindOf(path, text);
  switch (kind) {
    case "nginx": {
      const included = (pattern: string, place: string): { file: string; text: string }[] =>
        includedFiles(pattern, path, place);
      return nginxHop(parseNginx(text, file, included), role, file, only);
    }
    case "haproxy":
      return haproxyHop(parseHaproxy(text, file), role, file, only);
    case "envoy":
      return envoyHop(yaml(text, file), role, file, only);
    default:
      return fromJson(text, role, file, kind);
  }
}

function kindOf(path: string, text: string): Kind | "json" {
  if (/\.ya?ml$/i.test(path)) return "envoy";
  if (/^\s*\{/.test(text))
    return /"(static_resources|resources|listeners|clusters)"\s*:/.test(text) ? "envoy" : "json";
  if (/^\s*(global|defaults|frontend|backend|listen)\b[^{;=]*$/m.test(text)) return "haproxy";
  if (/nginx/i.test(path) || nginxBlock.test(text) || nginxLine.test(text)) return "nginx";
  throw badConfiguration(
    path,
    "is none of the configurations that are read (nginx, haproxy, Envoy, JSON of Node's settings or of a measurement); if it is one, write for example nginx:FILE, and else figures: keepalive=75s",
  );
}

const nginxBlock = /(^|[\s;{}])(events|http|server|upstream|location|map)\b[^;{}=]*\{/;
const nginxLine = /(^|[\s;{}])(include|listen|keepalive_\w+|proxy_\w+|grpc_\w+|server_name|root)\s[^;{}=]*;/;

function yaml(text: string, file: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined)
    throw badConfiguration(
      `${file}:${error.linePos?.[0].line ?? 1}`,
      error.message.split("\n")[0] ?? "",
      error,
    );
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw badConfiguration(file, (error as Error).message, error);
  }
}

function fromJson(text: string, role: Role, given: string, kind: Kind | "json" | null): Hop {
  const place = given.startsWith("{") ? `--${role}` : given;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badConfiguration(place, `is no JSON: ${(error as Error).message}`, error);
  }
  if (kind === "measured" || (kind !== "node" && isMeasured(value))) return measuredHop(value, role, given);
  if (kind === "node" || isNodeSettings(value)) return nodeHop(value, role, given);
  throw badConfiguration(
    place,
    "is neither what http --json prints nor settings of Node's, which have keepAliveTimeout, agent or undici",
  );
}
