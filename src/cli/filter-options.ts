import type { Command } from "commander";

/** Collects an option that may be given several times. */
export function several(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/**
 * Adds the filters that `ls`, `set`, `kill` and `watch` share. What commander collects is host/filter's FilterOptions.
 *
 * @example filterOptions(new Command("ls")).opts<FilterOptions>()
 */
export function filterOptions(command: Command): Command {
  return command
    .optionsGroup("Filters (several of one kind: any may fit; of several kinds: all must):")
    .option("--pid <number>", "held by this process", several)
    .option("--process <name>", "held by a process of this name", several)
    .option(
      "--local <addr[:port]>",
      "own end: address, network (10.0.0.0/8), *:443, [2001:db8::1]:443",
      several,
    )
    .option("--remote <addr[:port]>", "the peer's end, written the same way", several)
    .option("--port <number>", "port of either end", several)
    .option("--state <name>", "e.g. ESTABLISHED, close-wait, listen, all; several with commas", several)
    .option("--unprotected", "would never notice a dead peer")
    .option("--slower-than <duration>", "needs longer than this to notice a dead peer, e.g. 60s")
    .option("--cgroup <path>", "made in this cgroup (a service, a container) or below it", several)
    .option("--netns <path|name>", "in this network namespace", several)
    .option("--all-netns", "in every network namespace that a process is in or that has a name");
}
