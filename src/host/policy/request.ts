import { DeadpeerError } from "../../errors.js";
import { optionWrites } from "../../kernel/socket-options.js";
import type { SettingsChange } from "../../plan/settings.js";
import type { EndpointFilter } from "../address.js";

/** What a policy says: which connections get which settings. */
export interface PolicyRequest {
  /** What connections get; what is left out stays as it is. */
  readonly settings: SettingsChange;
  /** Leave alone what the program has set itself. Without it the policy wins, now and later. */
  readonly onlyUnset?: boolean;
  /** Only connections with one of these ports, at either end; none: all. */
  readonly ports?: readonly number[];
  /** Only connections to or from one of these; none: all. */
  readonly remotes?: readonly EndpointFilter[];
}

/** One option that a policy sets. */
export interface OptionWrite {
  readonly level: number;
  readonly option: number;
  /** In the kernel's units. */
  readonly value: number;
}

/** The program tests one after the other at each connection, and the kernel limits how far a program may jump. */
const filterLimit = 1_000;

/**
 * Refuses what could never have an effect, or that a program cannot be made of.
 *
 * @throws DeadpeerError `bad-option`, `value-refused`.
 */
export function checkRequest({ settings, ports = [], remotes = [] }: PolicyRequest): void {
  if (policyWrites(settings).length === 0)
    throw new DeadpeerError("bad-option", "a policy needs at least one setting");
  if (ports.length + remotes.length > filterLimit)
    throw new DeadpeerError(
      "bad-option",
      `a policy takes up to ${filterLimit} ports and addresses; these are ${ports.length + remotes.length}: give networks, such as 10.0.0.0/8`,
    );
}

/** Whether a policy does for every connection what a change asks for, with nothing left out and nothing besides. */
export function coversAll(
  { settings, onlyUnset = false, ports = [], remotes = [] }: PolicyRequest,
  change: SettingsChange,
): boolean {
  const [held, wanted] = [settings, change].map((one) => JSON.stringify(policyWrites(one)));
  return !onlyUnset && ports.length === 0 && remotes.length === 0 && held === wanted;
}

/**
 * The options that a change sets, in the order in which they are set.
 *
 * @throws DeadpeerError `value-refused` for what the kernel would refuse.
 */
export function policyWrites({ keepalive, userTimeoutMs }: SettingsChange): OptionWrite[] {
  return optionWrites({
    ...(keepalive === undefined ? {} : { keepalive }),
    ...(userTimeoutMs === undefined ? {} : { userTimeoutMs }),
  }).map(([{ level, number }, value]) => ({ level, option: number, value }));
}
