import { DeadpeerError } from "../../errors.js";
import { bootLine, readBootFiles } from "../../host/sysctl/boot-files.js";
import { dropInPath, dropInText, overridesOf, readDropIn, writeDropIn } from "../../host/sysctl/drop-in.js";
import { bootsHere, inspectSystem, type SystemView } from "../../host/sysctl/inspect.js";
import { toNumber } from "../../host/sysctl/sources.js";
import { type SysctlTarget, sysctlTargets } from "../../host/sysctl/targets.js";
import { currentNamespace } from "../../kernel/namespaces.js";
import type { NamespaceOptions } from "./namespaces.js";
import { readWish, type WishOptions } from "./wish.js";
import { note } from "../note.js";

export interface PersistOptions extends WishOptions, NamespaceOptions {
  readonly dryRun?: boolean;
}

const keepaliveNames = [
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
];
const retries2Name = "net.ipv4.tcp_retries2";

export function run(options: PersistOptions): void {
  if (options.netns !== undefined || options.allNetns === true)
    throw new DeadpeerError(
      "bad-option",
      "persist: boot files only reach the host's own network namespace; give a container its values when it is made, e.g. docker run --sysctl net.ipv4.tcp_keepalive_time=60 (deadpeer plan --for docker prints the line)",
    );
  const here = currentNamespace();
  if (!bootsHere(here))
    throw new DeadpeerError(
      "bad-option",
      "persist: boot files reach init's network namespace, and this is another one; run it on the host",
    );
  const wish = readWish(options);
  const view = inspectSystem(here);
  const targets = wish === null ? runningValues(view) : sysctlTargets(wish.values);
  if (targets.length === 0) {
    process.stdout.write("Nothing to persist: the running values are what the next boot gives anyway.\n");
    if (readDropIn() !== null)
      note(
        `${dropInPath} is there, but the running values are those without it; to remove it: deadpeer sysctl unpersist`,
      );
    return;
  }
  const text = dropInText(targets);
  const overrides = overridesOf(targets, text);
  if (options.dryRun === true) {
    readDropIn();
    process.stdout.write(text);
  } else {
    writeDropIn(text);
    process.stdout.write(`Wrote ${dropInPath}; its values hold from the next boot:\n`);
    process.stdout.write(`${targets.map(({ name, value }) => `  ${name} = ${value}`).join("\n")}\n`);
  }
  for (const { target, by } of overrides)
    note(
      `${by.path}:${by.line} is applied later and sets ${target.name} to ${by.value}, not ${target.value}; change it there`,
    );
  const differing = targets.filter(
    ({ name, value }) => view.values.find((one) => one.name === name)?.value !== value,
  );
  if (differing.length > 0)
    note(
      "the running kernel has other values; to change them now as well: deadpeer sysctl set with the same options",
    );
}

/** The running values that the next boot would not give by itself; the three of keepalive go together. */
function runningValues({ values }: SystemView): SysctlTarget[] {
  const files = readBootFiles({ path: dropInPath, text: null });
  const lost = values.filter(({ name, value, kernelDefault }) => {
    const line = bootLine(files, name);
    return value !== (line === null ? kernelDefault : toNumber(line.value));
  });
  const isLost = (name: string): boolean => lost.some((value) => value.name === name);
  const names = new Set([
    ...(keepaliveNames.some(isLost) ? keepaliveNames : []),
    ...(isLost(retries2Name) ? [retries2Name] : []),
  ]);
  return values.filter(({ name }) => names.has(name)).map(({ name, value }) => ({ name, value }));
}
