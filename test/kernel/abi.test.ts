import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import * as abi from "../../src/kernel/abi.js";
import { diagMessage } from "../../src/kernel/diag-socket.js";

const skip = spawnSync("gcc", ["--version"]).status === 0 ? false : "needs gcc";

/** Has the C compiler check assertions about the kernel's headers. */
function compile(headers: readonly string[], assertions: readonly string[]): void {
  const program = [...headers.map((header) => `#include <${header}>`), ...assertions].join("\n");
  const { status, stderr } = spawnSync("gcc", ["-x", "c", "-fsyntax-only", "-"], {
    input: program,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
}

describe("the numbers in the kernel's headers", { skip }, () => {
  test("socket families, levels and options, the same on both architectures", () => {
    const constants = Object.entries(abi).flatMap(([name, value]): [string, number][] =>
      typeof value === "number" ? [[name, value]] : [],
    );
    assert.ok(constants.length > 10);
    compile(
      // asm-generic's socket.h is arm64's.
      [
        "sys/socket.h",
        "asm-generic/socket.h",
        "netinet/in.h",
        "linux/tcp.h",
        "linux/netlink.h",
        "linux/sched.h",
      ],
      constants.map(([name, value]) =>
        // Older headers lack the newest options; families and socket types are enumerated, not defined.
        name === "TCP_RTO_MAX_MS"
          ? `#ifdef ${name}\n_Static_assert(${name} == ${value}, "${name}");\n#endif`
          : `_Static_assert(${name} == ${value}, "${name}");`,
      ),
    );
  });

  // asm-generic's unistd.h is arm64's, with names for 64 bits.
  for (const [architecture, header] of [
    ["x64", "asm/unistd_64.h"],
    ["arm64", "asm-generic/unistd.h"],
  ] as const)
    test(`system calls of ${architecture}`, (context) => {
      if (architecture === "x64" && process.arch !== "x64") {
        context.skip("x64's headers are not here");
        return;
      }
      compile(
        [header],
        [
          `_Static_assert(__NR_fsopen == ${abi.syscallNumbers.fsopen}, "fsopen");`,
          `_Static_assert(__NR_fsconfig == ${abi.syscallNumbers.fsconfig}, "fsconfig");`,
          `_Static_assert(__NR_fsmount == ${abi.syscallNumbers.fsmount}, "fsmount");`,
          `_Static_assert(__NR_pidfd_open == ${abi.syscallNumbers.pidfdOpen}, "pidfd_open");`,
          `_Static_assert(__NR_pidfd_getfd == ${abi.syscallNumbers.pidfdGetfd}, "pidfd_getfd");`,
        ],
      );
    });

  test("struct inet_diag_msg", () => {
    const fields: Readonly<Record<Exclude<keyof typeof diagMessage, "bytes">, string>> = {
      family: "idiag_family",
      state: "idiag_state",
      timer: "idiag_timer",
      retransmits: "idiag_retrans",
      localPort: "id.idiag_sport",
      remotePort: "id.idiag_dport",
      localAddress: "id.idiag_src",
      remoteAddress: "id.idiag_dst",
      interfaceIndex: "id.idiag_if",
      cookieLow: "id.idiag_cookie[0]",
      cookieHigh: "id.idiag_cookie[1]",
      expires: "idiag_expires",
      receiveQueue: "idiag_rqueue",
      sendQueue: "idiag_wqueue",
      uid: "idiag_uid",
      inode: "idiag_inode",
    };
    const offsets = Object.entries(fields).map(
      ([field, member]) =>
        `_Static_assert(__builtin_offsetof(struct inet_diag_msg, ${member}) == ${diagMessage[field as keyof typeof fields]}, "${field}");`,
    );
    compile(
      ["linux/inet_diag.h"],
      [...offsets, `_Static_assert(sizeof(struct inet_diag_msg) == ${diagMessage.bytes}, "size");`],
    );
  });
});
