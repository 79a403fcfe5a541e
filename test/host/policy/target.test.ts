import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DeadpeerError } from "../../../src/errors.js";
import { findCgroup, type PolicyTarget } from "../../../src/host/policy/target.js";

const one = "1f3a".padEnd(64, "0");
const other = "1f3b".padEnd(64, "0");
const third = "9c00".padEnd(64, "0");

const paths = [
  "/",
  "/system.slice",
  "/system.slice/nginx.service",
  "/system.slice/system-getty.slice/getty@tty1.service",
  "/system.slice/system-worker.slice/worker@1.service",
  "/system.slice/system-worker.slice/worker@2.service",
  "/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service",
  "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service",
  "/user.slice/user-1000.slice/session-3.scope",
  `/system.slice/docker-${one}.scope`,
  `/system.slice/docker-${one}.scope/init.scope`,
  `/docker/${other}`,
  `/machine.slice/libpod-${third}.scope`,
  `/machine.slice/libpod-${third}.scope/container`,
  "/lxc.payload.web",
];

function find(target: PolicyTarget): string {
  return findCgroup(target, () => paths);
}

function refused(target: PolicyTarget, code: string, ...words: readonly string[]): void {
  assert.throws(
    () => find(target),
    (error) =>
      error instanceof DeadpeerError &&
      error.code === code &&
      words.every((word) => error.message.includes(word)) &&
      !error.message.includes("\n"),
    JSON.stringify(target),
  );
}

describe("which cgroup is meant", () => {
  test("a service, with and without its ending, the system's before a user's", () => {
    assert.equal(find({ service: "nginx" }), "/system.slice/nginx.service");
    assert.equal(find({ service: "nginx.service" }), "/system.slice/nginx.service");
    assert.equal(
      find({ service: "sync" }),
      "/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service",
    );
    assert.equal(find({ service: "session-3.scope" }), "/user.slice/user-1000.slice/session-3.scope");
    assert.equal(find({ service: "system.slice" }), "/system.slice");
  });

  test("an instance of a template; of a template with several, none is guessed", () => {
    assert.equal(find({ service: "getty@tty1" }), "/system.slice/system-getty.slice/getty@tty1.service");
    assert.equal(find({ service: "getty@" }), "/system.slice/system-getty.slice/getty@tty1.service");
    refused({ service: "worker@" }, "bad-option", "worker@1.service", "worker@2.service");
  });

  test("a container, by its id or the beginning of it, whoever made its cgroup", () => {
    assert.equal(find({ container: one }), `/system.slice/docker-${one}.scope`);
    assert.equal(find({ container: "1f3b" }), `/docker/${other}`);
    assert.equal(find({ container: "9" }), `/machine.slice/libpod-${third}.scope`);
    assert.equal(find({ container: "web" }), "/lxc.payload.web");
  });

  for (const path of [
    `/system.slice/docker-${one}.scope`,
    `/docker/${one}`,
    `/machine.slice/libpod-${one}.scope`,
    `/libpod_parent/libpod-${one}`,
    `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-${one}.scope`,
    `/kubepods/burstable/pod1/${one}`,
    `/kubepods.slice/kubepods-pod1.slice/crio-${one}.scope`,
    `/kubepods/pod1/crio-${one}`,
    `/default/${one}`,
  ])
    test(`the container ${path.replace(one, "ID")}`, () => {
      assert.equal(
        findCgroup({ container: one.slice(0, 12) }, () => ["/", path, `${path}/below`]),
        path,
      );
    });

  test("what fits several is refused with those it fits, what fits none with a way to find it", () => {
    refused({ container: "1f3" }, "bad-option", one, other, "--cgroup");
    refused({ container: "77" }, "no-cgroup", "docker ps");
    refused({ service: "mysql" }, "no-cgroup", "mysql.service", "systemctl status");
  });

  test("exactly one of the three", () => {
    assert.equal(find({ cgroup: "/anything" }), "/anything");
    refused({}, "bad-option", "--service", "--container", "--cgroup");
    refused({ cgroup: "/a", service: "nginx" }, "bad-option");
    refused({ service: "" }, "bad-option");
    refused({ container: " " }, "bad-option");
  });
});
