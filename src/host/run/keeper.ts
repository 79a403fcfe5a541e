/**
 * A process of its own that outlives the `run` which started it: it removes the program's cgroup when the last process has left it.
 * The cgroup bears its name, so that as long as it lives nobody else thinks of cleaning up.
 *
 * It prints that name, reads the cgroup's directory, and knows by the end of its input that the program has begun (or that
 * there will be none): the other end closes at execve(2).
 */
import { removeCgroup } from "../../kernel/cgroup-changes.js";
import { newOwnedName } from "../../kernel/owned-names.js";
import { untilEmpty } from "./population.js";

process.stdout.write(`${newOwnedName("run")}\n`);
let directory = "";
for await (const text of process.stdin.setEncoding("utf8")) directory += String(text);
if (directory !== "")
  do await untilEmpty(directory);
  while (!removeCgroup(directory));
