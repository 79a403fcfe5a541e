import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { type FeatureName, hasFeature, kernelFeatures } from "../../src/kernel/features.js";
import { compareKernelVersions, kernelVersion, parseKernelVersion } from "../../src/kernel/version.js";
import { needsRoot, runModule } from "./support.js";

// Asking for a cgroup needs some socket to ask about.
const listener = createServer().listen(0);
await once(listener, "listening");
test.after(() => listener.close());

for (const [name, { what, since }] of Object.entries(kernelFeatures))
  test(`${name} (${what}) is in every kernel since Linux ${since}`, (context) => {
    const running = kernelVersion();
    const first = parseKernelVersion(since);
    assert.ok(running && first);
    if (compareKernelVersions(running, first) < 0) {
      context.skip(`needs Linux ${since}`);
      return;
    }
    assert.equal(hasFeature(name as FeatureName), "yes");
  });

const askAll = `const { hasFeature, kernelFeatures } = await import(src + "kernel/features.js");
console.log(Object.keys(kernelFeatures).map((name) => name + " " + hasFeature(name)).join("\\n"));`;

test("in a namespace without sockets the cgroup cannot be asked for", { skip: needsRoot }, () => {
  const { stdout, stderr } = runModule(askAll, ["unshare", "--net"]);
  assert.match(stdout, /^diag-cgroup unknown$/m, stderr);
});

test("where no descriptor can be opened, trying says nothing and throws nothing", () => {
  const { stdout, stderr } = runModule(
    `const { libc } = await import(src + "kernel/libc.js");
     libc();
     const { openSync } = await import("node:fs");
     const { hasFeature, kernelFeatures } = await import(src + "kernel/features.js");
     try { for (;;) openSync("/dev/null", "r"); } catch {}
     const answers = Object.keys(kernelFeatures).map(hasFeature);
     (await import("node:fs")).closeSync(62);
     (await import("node:fs")).closeSync(63);
     console.log(answers.join(" "), "then", hasFeature("rto-max"));`,
    ["prlimit", "--nofile=64"],
  );
  assert.match(stdout, /^unknown unknown unknown unknown unknown then (yes|no)$/m, stderr);
});
