import assert from "node:assert/strict";
import { constants } from "node:os";
import { describe, test } from "node:test";
import { DeadpeerError } from "../../../src/errors.js";
import { bpfError, missingFor, requireBpfCapabilities } from "../../../src/kernel/bpf/errors.js";
import type { Answer, Capability } from "../../../src/kernel/capabilities.js";

const { EPERM, ENOSYS, ENOMEM, E2BIG } = constants.errno;

function having(...capabilities: readonly Capability[]): (capability: Capability) => Answer {
  return (capability) => (capabilities.includes(capability) ? "yes" : "no");
}
const all = having("CAP_BPF", "CAP_NET_ADMIN", "CAP_SYS_ADMIN");

const denied = (has: (capability: Capability) => Answer): string => {
  const { code, message, errno } = bpfError(EPERM, "BPF_PROG_LOAD", { has, memoryLimit: null });
  assert.deepEqual([code, errno], ["permission-denied", "EPERM"]);
  return message;
};

describe("why bpf(2) refused", () => {
  test("a capability is missing, by name; one of two that would do is enough", () => {
    assert.match(
      denied(having()),
      /needs CAP_BPF \(CAP_SYS_ADMIN before Linux 5\.8\) and CAP_NET_ADMIN; run/,
    );
    assert.match(denied(having("CAP_BPF")), /: needs CAP_NET_ADMIN; run as root$/);
    assert.match(denied(having("CAP_SYS_ADMIN")), /: needs CAP_NET_ADMIN; run as root$/);
    assert.match(denied(all), /although the capabilities are there: .*seccomp/);
    assert.match(
      denied((capability) => (capability === "CAP_BPF" ? "unknown" : "yes")),
      /although the capabilities are there/,
      "what is not known is not named as missing",
    );
  });

  test("the limit of locked memory, where nothing else is missing", () => {
    const limited = { has: all, memoryLimit: 65_536 };
    assert.match(bpfError(EPERM, "BPF_MAP_CREATE", limited).message, /is 64 KiB,.*ulimit -l unlimited/);
    assert.match(
      bpfError(EPERM, "BPF_MAP_CREATE", { ...limited, has: having() }).message,
      /: needs CAP_BPF \(/,
    );
  });

  for (const [errno, code, message] of [
    [ENOSYS, "feature-missing", /^bpf\(BPF_PROG_QUERY\): .*CONFIG_BPF_SYSCALL/],
    [ENOMEM, "syscall-failed", /no memory/],
    [E2BIG, "syscall-failed", /E2BIG/],
  ] as const)
    test(code + String(message), () => {
      const error = bpfError(errno, "BPF_PROG_QUERY", { has: all, memoryLimit: null });
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.equal(error.operation, "bpf(BPF_PROG_QUERY)");
    });

  test("what would surely be refused is refused at once, with all that is missing", () => {
    const missing = (...capabilities: readonly Capability[]): string => {
      try {
        requireBpfCapabilities(having(...capabilities));
        return "";
      } catch (error) {
        assert.ok(error instanceof DeadpeerError && error.code === "permission-denied");
        return error.message;
      }
    };
    assert.match(missing(), /need CAP_BPF \(.*\), CAP_NET_ADMIN, CAP_SYS_ADMIN; run as root$/);
    assert.match(missing("CAP_BPF", "CAP_NET_ADMIN"), /need CAP_SYS_ADMIN; run as root$/);
    assert.equal(missing("CAP_SYS_ADMIN"), "");
    assert.deepEqual(missingFor("BPF_PROG_GET_FD_BY_ID", having("CAP_BPF")), ["CAP_SYS_ADMIN"]);
    assert.deepEqual(missingFor("BPF_MAP_CREATE", having("CAP_SYS_ADMIN")), []);
  });
});
