// Builds dist/ with plain tsc and puts the command where `npx deadpeer` finds it in a checkout.
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { bin, copyScenarios, installDependencies, root, run } from "./tools.js";

installDependencies();
// A deleted source file must not live on in dist/: without a build record tsc starts from nothing.
if (!existsSync(`${root}dist/.tsbuildinfo`)) rmSync(`${root}dist`, { recursive: true, force: true });
run(bin("tsc"), ["-p", "tsconfig.build.json"]);
copyScenarios("dist");
chmodSync(`${root}dist/cli/main.js`, 0o755);
mkdirSync(`${root}node_modules/.bin`, { recursive: true });
rmSync(bin("deadpeer"), { force: true });
symlinkSync("../../dist/cli/main.js", bin("deadpeer"));
