// `npm start`: from a fresh checkout to this machine's connections, with nothing to do by hand.
import { root, run } from "./tools.js";

run(process.execPath, ["scripts/build.js"], { stdio: ["ignore", 2, 2] });
run(process.execPath, [`${root}dist/cli/main.js`, "ls"]);
console.log(`
What to try next:
  npx deadpeer ls --watch                         the same, kept up to date
  npx deadpeer plan --detect 35s --path aws-nlb   settings that notice a dead peer within 35 s
  npx deadpeer plan --detect 35s --for node       the lines to paste into a Node program
  npx deadpeer plan --idle 2h --count 9           what given settings mean
  npx deadpeer sysctl show                        this system's defaults, and who lives by them
  npx deadpeer --help                             everything else`);
