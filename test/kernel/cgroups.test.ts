import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { mkdirSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { DeadpeerError } from "../../src/errors.js";
import { cgroupIds, cgroupMount } from "../../src/kernel/cgroups.js";
import { processCgroup } from "../../src/kernel/processes.js";
import { listSockets } from "../../src/kernel/sock-diag.js";
import { needsRoot } from "./support.js";

describe("cgroups", { skip: needsRoot }, () => {
  let mount = "";
  before(() => {
    mount = cgroupMount();
  });

  test("the root has its directory's inode number as id", () => {
    const { ino } = statSync(mount, { bigint: true });
    assert.ok(cgroupIds("/").has(ino));
    assert.ok(cgroupIds(mount).has(ino));
  });

  test("a missing one is named", () => {
    assert.throws(
      () => cgroupIds("/dp-test-nowhere"),
      (error) =>
        error instanceof DeadpeerError &&
        error.code === "bad-filter" &&
        /dp-test-nowhere/.test(error.message),
    );
  });

  test("sockets carry the id of the one that they were made in, below the one asked for", async () => {
    const name = `/${newOwnedName("run")}`;
    const outer = join(mount, name);
    const inner = join(outer, "in ner");
    mkdirSync(inner, { recursive: true });
    try {
      const script =
        "import socket, sys; sys.stdin.readline(); s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()";
      const child = spawn("python3", ["-c", script], { stdio: ["pipe", "pipe", "inherit"] });
      try {
        writeFileSync(join(inner, "cgroup.procs"), String(child.pid));
        child.stdin.write("\n");
        const [port] = (await once(child.stdout, "data")) as [Buffer];
        const [socket] = listSockets({ states: ["LISTEN"], local: { port: Number(port) } });
        const { ino } = statSync(inner, { bigint: true });
        assert.equal(socket?.cgroupId, ino);
        assert.equal(processCgroup(child.pid ?? 0), `${name}/in ner`);
        assert.deepEqual(cgroupIds(`${name}/in ner`), new Set([ino]));
        assert.deepEqual(cgroupIds(name), new Set([statSync(outer, { bigint: true }).ino, ino]));
        assert.deepEqual(cgroupIds(outer), cgroupIds(name));
      } finally {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
    } finally {
      rmdirSync(inner);
      rmdirSync(outer);
    }
  });
});
