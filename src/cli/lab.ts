import { Command } from "commander";
import { labReportCommand } from "./lab-report.js";

const details = `
Needs root, and ip (iproute2), nft (nftables) and tcpdump. Everything happens in network namespaces of the lab's own, which go
when it ends; what a killed lab left behind goes when the next one starts.

Examples:
  deadpeer lab list
  deadpeer lab run cut-off rebooted
  deadpeer lab run --all --pcap /tmp/captures
  deadpeer lab run ./mine.json --json
  deadpeer lab report --out lab.html
  deadpeer lab shell zero-window`;

export interface LabRunOptions {
  readonly all?: boolean;
  readonly json?: boolean;
  readonly keep?: boolean;
  readonly pcap?: string;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
}

export interface LabShellOptions {
  readonly host?: string;
  readonly ipv6?: boolean;
}

/** `deadpeer lab`: real hosts, real faults, and what this kernel makes of them. */
export function labCommand(): Command {
  const lab = new Command("lab")
    .description(
      "the proving ground: hosts in network namespaces, real faults, captures read packet by packet",
    )
    .helpCommand(false)
    .addHelpText("after", details);
  lab
    .command("list")
    .description("the scenarios that there are")
    .option("--json", "print one JSON array")
    .action(async (options: { readonly json?: boolean }) => (await import("./lab-list.js")).list(options));
  lab
    .command("run")
    .description("runs scenarios and compares what is seen with what is expected; exit 1 if any fails")
    .argument("[name...]", "scenarios by name, or files of your own (./mine.json)")
    .option("--all", "every scenario that comes with deadpeer")
    .option("--json", "print one JSON array of results")
    .option("--keep", "leave the hosts as they are in the end, until Ctrl-C")
    .option("--pcap <folder>", "keep the captures there")
    .option("--ipv4", "over IPv4 only")
    .option("--ipv6", "over IPv6 only")
    .action(async (names: readonly string[], options: LabRunOptions) =>
      (await import("./lab-run.js")).run(names, options),
    );
  lab.addCommand(labReportCommand());
  lab
    .command("shell")
    .description(
      "a shell on a host of a scenario whose connections stand, for playing; the hosts go when it ends",
    )
    .argument("<name>", "a scenario, or a file of your own")
    .option("--host <name>", "the host; that of the first connection without it")
    .option("--ipv6", "over IPv6")
    .action(async (name: string, options: LabShellOptions) =>
      (await import("./lab-shell.js")).shell(name, options),
    );
  return lab;
}
