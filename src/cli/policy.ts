import { Command } from "commander";
import { several } from "./filter-options.js";
import type { AddOptions } from "./policy/add.js";
import type { ApplyOptions } from "./policy/apply-existing.js";
import type { ListOptions } from "./policy/list.js";
import type { RemoveOptions } from "./policy/remove.js";
import { settingsOptions } from "./settings-options.js";

const details = `
A policy is a BPF program on a cgroup: the kernel itself gives each connection its settings when it is established, whichever program
opens it, static ones too. It stays until it is removed, its cgroup goes (a service or container that stops) or the machine restarts.
Connections that are open already keep what they have: apply-existing changes them as deadpeer set does.

Needs cgroup v2, CAP_SYS_ADMIN and, on older kernels, CAP_NET_ADMIN besides (root has both).

Examples:
  deadpeer policy add --service nginx --detect 35s
  deadpeer policy add --container 4f1c2a --port 5432 --detect 35s --path aws-nlb
  deadpeer policy add --cgroup /system.slice/worker.service --idle 60s --interval 10s --count 3 --only-unset
  deadpeer policy apply-existing --service nginx
  deadpeer policy list
  deadpeer policy remove --service nginx`;

/** `deadpeer policy`: settings for all connections to come of a cgroup. */
export function policyCommand(): Command {
  return new Command("policy")
    .description("settings for connections to come of a service, a container or any cgroup")
    .helpCommand(false)
    .addHelpText("after", details)
    .addCommand(addCommand())
    .addCommand(listCommand())
    .addCommand(applyCommand())
    .addCommand(removeCommand());
}

function addCommand(): Command {
  const command = new Command("add").description("give a cgroup a policy");
  settingsOptions(targetOptions(command));
  return whichConnections(command)
    .optionsGroup("How:")
    .option("--replace", "take the place of the policy that the cgroup has")
    .option("--json", "print JSON")
    .action(async (options: AddOptions) => (await import("./policy/add.js")).runAdd(options));
}

function listCommand(): Command {
  return new Command("list")
    .description("the policies there are, and what they have done")
    .option("--json", "print JSON")
    .addHelpText("after", listDetails)
    .action(async (options: ListOptions) => (await import("./policy/list.js")).runList(options));
}

const listDetails = `
SETTINGS  idle/interval/count of keepalive, U and the user timeout; "-": left as it is
TOUCHED   connections that got the settings
LEFT      with --only-unset: connections whose program had chosen everything itself
FAILED    connections on which the kernel refused a setting
HELD      times that a program set something else later, and the policy's value was kept`;

function applyCommand(): Command {
  const command = new Command("apply-existing")
    .description("change the connections that a policy came too late for, as deadpeer set does")
    .argument("[id]", "of the policy, as list shows it");
  return targetOptions(command)
    .optionsGroup("How:")
    .option("--dry-run", "print what would change")
    .option("--json", "print JSON")
    .action(async (id: string | undefined, options: ApplyOptions) =>
      (await import("./policy/apply-existing.js")).runApplyExisting(id, options),
    );
}

function removeCommand(): Command {
  const command = new Command("remove")
    .description("remove policies; connections that have their settings keep them")
    .argument("[ids...]", "of the policies, as list shows them");
  return targetOptions(command)
    .option("--all", "every policy")
    .option("--json", "print JSON")
    .action(async (ids: string[], options: RemoveOptions) =>
      (await import("./policy/remove.js")).runRemove(ids, options),
    );
}

/** Which cgroup. */
function targetOptions(command: Command): Command {
  return command
    .optionsGroup("Whose connections:")
    .option("--service <name>", "of a systemd unit, e.g. nginx")
    .option("--container <id>", "of a container, by the beginning of its id")
    .option("--cgroup <path>", "made in this cgroup or below it");
}

/** The filters that a BPF program applies, which `run` has as well. */
export function whichConnections(command: Command): Command {
  return command
    .optionsGroup("Which of them (several of one kind: any may fit; of both kinds: both must):")
    .option("--only-unset", "leave alone what the program sets itself")
    .option("--port <number>", "port of either end", several)
    .option("--remote <addr[:port]>", "the peer's end: address, network (10.0.0.0/8), *:443", several);
}
