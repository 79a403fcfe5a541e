import { dropInPath, readDropIn, removeDropIn } from "../../host/sysctl/drop-in.js";
import { note } from "../note.js";

export function run({ dryRun = false }: { dryRun?: boolean }): void {
  const removed = dryRun ? readDropIn() !== null : removeDropIn();
  if (!removed) {
    process.stdout.write(`There is no ${dropInPath}; nothing to remove.\n`);
    return;
  }
  process.stdout.write(`${dryRun ? "Would remove" : "Removed"} ${dropInPath}.\n`);
  note(
    "the running values stay until the next boot; to put back what deadpeer changed: deadpeer sysctl set --undo",
  );
}
