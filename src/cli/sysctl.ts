import { Command } from "commander";

export function sysctlCommand(): Command {
  return new Command("sysctl");
}
