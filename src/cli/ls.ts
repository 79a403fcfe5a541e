import { Command } from "commander";

export function lsCommand(): Command {
  return new Command("ls");
}
