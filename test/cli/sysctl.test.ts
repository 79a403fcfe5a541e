import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, describe, test } from "node:test";
import { cli } from "../support/checkout.js";
import { type Outcome, Sandbox } from "../support/sandbox.js";

const dropIn = "/etc/sysctl.d/90-deadpeer.conf";
const triple = ["--idle", "20s", "--interval", "5s", "--count", "3"];

/** A pair of connected sockets with keepalive on: one follows the system, one has times of its own. */
const talker = `
import socket, sys
listener = socket.create_server(("127.0.0.1", 7300))
follows = socket.create_connection(("127.0.0.1", 7300)); kept = [listener.accept()]
own = socket.create_connection(("127.0.0.1", 7300)); kept.append(listener.accept())
for one in (follows, own): one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7200)
own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 75)
own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 9)
print("ready", flush=True)
sys.stdin.read()
`;

interface ShownValue {
  readonly name: string;
  readonly value: number;
  readonly source: {
    readonly kind: string;
    readonly path?: string;
    readonly line?: number;
    readonly original?: number;
  };
}

interface Shown {
  readonly values: readonly ShownValue[];
  readonly detection: Record<string, number | null>;
  readonly connections: Record<string, number>;
}

describe("deadpeer sysctl", { skip: Sandbox.missing() }, () => {
  let sandbox: Sandbox;
  beforeEach(async () => {
    sandbox = await Sandbox.open();
  });
  afterEach(async () => sandbox[Symbol.asyncDispose]());

  const show = (...args: string[]): Shown[] =>
    JSON.parse(succeeded(sandbox.deadpeer("sysctl", "show", "--json", ...args)).stdout) as Shown[];
  const shown = (name: string): ShownValue => {
    const value = show()[0]?.values.find((one) => one.name === `net.ipv4.${name}`);
    assert.ok(value, name);
    return value;
  };
  const keepalive = (): number[] =>
    ["time", "intvl", "probes"].map((name) => sandbox.sysctl(`tcp_keepalive_${name}`));

  describe("show", () => {
    test("says what an untouched system means", () => {
      const [system] = show();
      assert.ok(system);
      assert.deepEqual(
        system.values.map(({ source }) => source.kind),
        system.values.map(() => "default"),
      );
      assert.deepEqual(system.detection, {
        idleMs: 7_875_000,
        sendingMs: 924_600,
        zeroWindowMs: null,
        zeroWindowSilentMs: 924_600,
        connectingMs: 131_000,
      });
      const { stdout } = sandbox.deadpeer("sysctl", "show");
      assert.match(stdout, /^tcp_keepalive_time +2h +default +silence before/m);
      assert.match(stdout, /idle, keepalive on +after 2h 11m 15s/);
      assert.match(stdout, /No sysctl switches keepalive on/);
    });

    test("names the line that sets a value, and what was changed since", () => {
      sandbox.must(
        `printf '# ours\\nnet.ipv4.tcp_keepalive_time = 600\\n' >/etc/sysctl.d/50-a.conf
         echo 600 >/proc/sys/net/ipv4/tcp_keepalive_time; echo 7 >/proc/sys/net/ipv4/tcp_retries2`,
      );
      assert.deepEqual(shown("tcp_keepalive_time").source, {
        kind: "file",
        path: "/etc/sysctl.d/50-a.conf",
        line: 2,
      });
      assert.equal(shown("tcp_retries2").source.kind, "runtime");
      const { stdout } = sandbox.deadpeer("sysctl", "show");
      assert.match(stdout, /tcp_keepalive_time +10m +\/etc\/sysctl\.d\/50-a\.conf:2/);
      assert.match(stdout, /tcp_retries2 +7 +at run time \(boot: 15\)/);
    });

    test("counts who lives by the values", async () => {
      const program = sandbox.start("python3", "-c", talker);
      assert.ok(program.stdout);
      await once(program.stdout, "data");
      const [system] = show();
      // The accepted ends have keepalive off; own values that equal the system's cannot be told apart by reading.
      assert.deepEqual(system?.connections, {
        total: 4,
        likeSystem: 2,
        ownValues: 0,
        keepaliveOff: 2,
        unread: 0,
      });
    });

    test("shows other namespaces, each with its own values", () => {
      sandbox.must(
        "ip netns add blue; ip netns exec blue sh -c 'echo 33 >/proc/sys/net/ipv4/tcp_keepalive_time'",
      );
      assert.deepEqual(show("--netns", "blue", "--netns", "/run/netns/blue").map(idleSeconds), [33]);
      assert.deepEqual(show("--all-netns").map(idleSeconds), [7_200, 33]);
      failed(sandbox.deadpeer("sysctl", "show", "--netns", "green"), 2, /no network namespace at .*green/);
      failed(
        sandbox.deadpeer("sysctl", "show", "--all-netns", "--netns", "blue"),
        2,
        /give the one or the other/,
      );
    });
  });

  describe("set", () => {
    test("changes the values, says so, and puts them back", () => {
      const { stdout, stderr } = succeeded(sandbox.deadpeer("sysctl", "set", ...triple));
      assert.deepEqual(keepalive(), [20, 5, 3]);
      assert.match(stdout, /^net\.ipv4\.tcp_keepalive_time +2h → 20s$/m);
      assert.match(stdout, /idle, keepalive on +2h 11m 15s → 35s/);
      assert.match(stderr, /sysctl set --undo/);
      assert.equal(shown("tcp_keepalive_time").source.original, 7_200);

      succeeded(sandbox.deadpeer("sysctl", "set", "--idle", "30s"));
      const undone = succeeded(sandbox.deadpeer("sysctl", "set", "--undo"));
      assert.match(undone.stdout, /tcp_keepalive_time +30s → 2h/);
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
      assert.match(succeeded(sandbox.deadpeer("sysctl", "set", "--undo")).stdout, /changed nothing here/);
    });

    test("--dry-run changes nothing and writes no journal", () => {
      const { stdout } = succeeded(sandbox.deadpeer("sysctl", "set", "--dry-run", ...triple));
      assert.match(stdout, /2h → 20s/);
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
      assert.equal(sandbox.must("ls /run/deadpeer 2>/dev/null || true"), "");
    });

    test("knows which live connections follow: those whose own reading changed", async () => {
      const program = sandbox.start("python3", "-c", talker);
      assert.ok(program.stdout);
      await once(program.stdout, "data");
      const [report] = JSON.parse(
        succeeded(sandbox.deadpeer("sysctl", "set", "--json", ...triple)).stdout,
      ) as [{ applied: boolean; connections: unknown; changes: unknown[] }];
      assert.equal(report.applied, true);
      assert.equal(report.changes.length, 3);
      assert.deepEqual(report.connections, { withSystemValues: 2, following: 1 });
    });

    test("a running keepalive timer is not restarted: the new values come at its next tick", async () => {
      const program = sandbox.start("python3", "-c", talker);
      assert.ok(program.stdout);
      await once(program.stdout, "data");
      const { stdout } = succeeded(sandbox.deadpeer("sysctl", "set", ...triple));
      assert.match(stdout, /that follow: 1, at their\s+next[^]*the last in (2h|1h 59m)/);
    });

    test("of --detect, takes what a sysctl can hold and names what none can", () => {
      const { stderr } = succeeded(sandbox.deadpeer("sysctl", "set", "--detect", "35s"));
      const [idle = 0, interval = 0, count = 0] = keepalive();
      assert.ok(idle + interval * count <= 35, `${idle} + ${interval} × ${count}`);
      assert.match(stderr, /user timeout of .*no sysctl sets; --retries2 \d+ comes nearest/);
    });

    test("in the namespaces that were named, and only there", () => {
      sandbox.must("ip netns add blue");
      succeeded(sandbox.deadpeer("sysctl", "set", "--netns", "blue", ...triple));
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
      assert.equal(show("--netns", "blue")[0]?.detection["idleMs"], 35_000);
      succeeded(sandbox.deadpeer("sysctl", "set", "--undo"));
      assert.equal(show("--netns", "blue")[0]?.detection["idleMs"], 7_875_000);
    });

    test("values of a namespace that has gone are forgotten", () => {
      sandbox.must("ip netns add blue");
      succeeded(sandbox.deadpeer("sysctl", "set", "--netns", "blue", ...triple));
      sandbox.must("ip netns delete blue");
      assert.match(succeeded(sandbox.deadpeer("sysctl", "set", "--undo")).stdout, /3 values went with/);
      assert.equal(sandbox.must("ls /run/deadpeer"), "");
    });

    test("one write that fails puts back the others", () => {
      // The last of the three cannot be written: read-only files are mounted over it alone.
      sandbox.must(
        "mount --bind -o ro /proc/sys/net/ipv4/tcp_keepalive_probes /proc/sys/net/ipv4/tcp_keepalive_probes",
      );
      failed(sandbox.deadpeer("sysctl", "set", ...triple), 3, /tcp_keepalive_probes/);
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
      assert.match(succeeded(sandbox.deadpeer("sysctl", "set", "--undo")).stdout, /changed nothing here/);
    });

    const refused: [string[], RegExp][] = [
      [[], /nothing to set/],
      [["--idle", "35"], /no unit/],
      [["--idle", "0"], /outside 1s to 32767s/],
      [["--count", "128"], /1 to 127/],
      [["--count", "x"], /not a whole number/],
      [["--retries2", "-1"], /not a whole number/],
      [["--user-timeout", "30s"], /no sysctl sets TCP_USER_TIMEOUT/],
      [["--path", "aws-nlb"], /only mean something with --detect/],
      [["--detect", "35s", "--idle", "20s"], /give the one or the others/],
      [["--detect", "1ms"], /./],
      [["--undo", "--idle", "20s"], /takes no values/],
      [["--netns", "green", "--idle", "20s"], /no network namespace/],
    ];
    test("refuses what makes no sense, in one line, and changes nothing", () => {
      for (const [args, message] of refused) failed(sandbox.deadpeer("sysctl", "set", ...args), 2, message);
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
    });

    test("says that /proc/sys is read-only", () => {
      sandbox.must("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys");
      failed(sandbox.deadpeer("sysctl", "set", ...triple), 3, /mounted read-only/);
    });

    test("without privilege says which is missing and records nothing", () => {
      const outcome = sandbox.run(
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        process.execPath,
        cli,
        "sysctl",
        "set",
        ...triple,
      );
      failed(outcome, 3, /CAP_NET_ADMIN/);
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
    });

    test("does not take somebody else's file for its journal", () => {
      sandbox.must("mkdir /run/deadpeer; echo mine >/run/deadpeer/sysctl.json");
      failed(sandbox.deadpeer("sysctl", "set", ...triple), 2, /not a journal/);
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
    });
  });

  describe("persist", () => {
    test("writes a drop-in that the boot's own program applies", () => {
      const { stdout } = succeeded(sandbox.deadpeer("sysctl", "persist", ...triple));
      assert.match(stdout, /Wrote \/etc\/sysctl\.d\/90-deadpeer\.conf/);
      assert.deepEqual(keepalive(), [7_200, 75, 9]);
      sandbox.must("sysctl --system");
      assert.deepEqual(keepalive(), [20, 5, 3]);
      assert.equal(shown("tcp_keepalive_time").source.path, dropIn);
      assert.equal(sandbox.must("stat -c %a /etc/sysctl.d/*; ls /etc/sysctl.d"), "644\n90-deadpeer.conf");
    });

    test("without values keeps the running ones", () => {
      succeeded(sandbox.deadpeer("sysctl", "set", "--idle", "20s", "--retries2", "8"));
      succeeded(sandbox.deadpeer("sysctl", "persist"));
      assert.equal(
        sandbox.must(`grep -v '^#' ${dropIn}`),
        [
          "net.ipv4.tcp_keepalive_time = 20",
          "net.ipv4.tcp_keepalive_intvl = 75",
          "net.ipv4.tcp_keepalive_probes = 9",
          "net.ipv4.tcp_retries2 = 8",
        ].join("\n"),
      );
      // Again: what the file itself brings does not count as what a boot brings anyway.
      succeeded(sandbox.deadpeer("sysctl", "persist"));
      assert.match(sandbox.must(`cat ${dropIn}`), /retries2 = 8/);
    });

    test("has nothing to do where the boot gives the running values", () => {
      assert.match(succeeded(sandbox.deadpeer("sysctl", "persist")).stdout, /Nothing to persist/);
      assert.equal(sandbox.must("ls /etc/sysctl.d"), "");
    });

    test("--dry-run prints the file and writes none", () => {
      const { stdout } = succeeded(sandbox.deadpeer("sysctl", "persist", "--dry-run", ...triple));
      assert.match(stdout, /^# Written by deadpeer/);
      assert.match(stdout, /unpersist/);
      assert.match(stdout, /^net\.ipv4\.tcp_keepalive_time = 20$/m);
      assert.equal(sandbox.must("ls /etc/sysctl.d"), "");
    });

    test("leaves a file alone that is not ours, or a link", () => {
      for (const make of [`echo mine >${dropIn}`, `ln -s /dev/null ${dropIn}`]) {
        sandbox.must(`rm -f ${dropIn}; ${make}`);
        failed(sandbox.deadpeer("sysctl", "persist", ...triple), 2, /not written by deadpeer/);
        failed(sandbox.deadpeer("sysctl", "persist", "--dry-run", ...triple), 2, /not written by deadpeer/);
        failed(sandbox.deadpeer("sysctl", "unpersist"), 2, /not written by deadpeer/);
      }
    });

    test("warns of a later file that overrides it", () => {
      sandbox.must(`printf '\\nnet.ipv4.tcp_keepalive_time=900\\n' >/usr/lib/sysctl.d/95-vendor.conf`);
      const { stderr } = succeeded(sandbox.deadpeer("sysctl", "persist", ...triple));
      assert.match(
        stderr,
        /95-vendor\.conf:2 is applied later and sets net\.ipv4\.tcp_keepalive_time to 900/,
      );
      sandbox.must("sysctl --system");
      assert.deepEqual(keepalive(), [900, 5, 3]);
    });

    test("refuses a namespace, and says what to do for a container", () => {
      failed(
        sandbox.deadpeer("sysctl", "persist", "--netns", "blue", ...triple),
        2,
        /docker run --sysctl net\.ipv4\.tcp_keepalive_time/,
      );
      sandbox.must("ip netns add blue");
      failed(
        sandbox.run("ip", "netns", "exec", "blue", process.execPath, cli, "sysctl", "persist", ...triple),
        2,
        /run it on the host/,
      );
    });

    test("says that a read-only file system cannot be written", () => {
      sandbox.must("mount -o remount,ro /etc/sysctl.d");
      failed(sandbox.deadpeer("sysctl", "persist", ...triple), 3, /read-only/);
    });

    test("unpersist removes the file and leaves the running values", () => {
      succeeded(sandbox.deadpeer("sysctl", "set", ...triple));
      succeeded(sandbox.deadpeer("sysctl", "persist"));
      assert.match(succeeded(sandbox.deadpeer("sysctl", "unpersist", "--dry-run")).stdout, /Would remove/);
      const { stdout, stderr } = succeeded(sandbox.deadpeer("sysctl", "unpersist"));
      assert.match(stdout, /Removed/);
      assert.match(stderr, /running values stay/);
      assert.equal(sandbox.must("ls /etc/sysctl.d"), "");
      assert.deepEqual(keepalive(), [20, 5, 3]);
      assert.match(succeeded(sandbox.deadpeer("sysctl", "unpersist")).stdout, /nothing to remove/);
    });
  });
});

test("deadpeer sysctl alone prints its help", () => {
  const { stdout, stderr } = spawnSync(process.execPath, [cli, "sysctl"], { encoding: "utf8" });
  for (const word of ["show", "set", "persist", "unpersist"]) assert.match(stdout + stderr, new RegExp(word));
});

function idleSeconds({ values }: Shown): number | undefined {
  return values.find(({ name }) => name === "net.ipv4.tcp_keepalive_time")?.value;
}

function succeeded(outcome: Outcome): Outcome {
  assert.equal(outcome.status, 0, outcome.stderr);
  return outcome;
}

/** A refusal is one line on stderr, with the status that design asks for, and no stack trace. */
function failed({ status, stdout, stderr }: Outcome, expected: number, message: RegExp): void {
  assert.match(stderr, message);
  assert.match(stderr, /^deadpeer: .*\n$/);
  assert.equal(stdout, "");
  assert.equal(status, expected);
}
