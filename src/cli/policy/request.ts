import { parseEndpoint } from "../../host/address.js";
import { parsePort } from "../../host/port.js";
import type { PolicyRequest } from "../../host/policy/request.js";
import { shellWord } from "../../host/shell-word.js";
import { note } from "../note.js";
import type { SettingsOptions } from "../settings-options.js";
import { defeating, readSettingsRequest } from "../settings-request.js";
import { settingsWords } from "../settings-words.js";

/** What `run` and `policy add` are told of settings and of the connections that get them. */
export interface PolicyRequestOptions extends SettingsOptions {
  readonly onlyUnset?: true;
  readonly port?: readonly string[];
  readonly remote?: readonly string[];
}

/**
 * Reads them, and says what makes the settings something else than was asked for.
 *
 * @param command for the hint where nothing was asked for.
 * @throws DeadpeerError as readSettingsRequest, `bad-address`.
 */
export function policyRequest(options: PolicyRequestOptions, command: string): PolicyRequest {
  const { onlyUnset = false, port = [], remote = [] } = options;
  const request = readSettingsRequest(options, command);
  for (const { message } of defeating(request)) note(message);
  return {
    settings: request.change,
    onlyUnset,
    ports: port.map((text) => parsePort(text, "--port")),
    remotes: remote.map((text) => parseEndpoint(text, "--remote")),
  };
}

/** What can be done where there can be no policy: the same from outside, as connections appear. `whose` is a filter of `set`. */
export function withoutPolicy(whose: readonly string[], options: PolicyRequestOptions): string {
  const { onlyUnset, port = [], remote = [] } = options;
  const words = [
    ...whose,
    ...settingsWords(options),
    ...port.flatMap((one) => ["--port", one]),
    ...remote.flatMap((one) => ["--remote", one]),
    ...(onlyUnset === true ? ["--only-unset"] : []),
  ];
  return `deadpeer set --watch ${words.map(shellWord).join(" ")}`;
}
