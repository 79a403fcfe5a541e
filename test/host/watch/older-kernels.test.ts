import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { parseFilter } from "../../../src/host/filter.js";
import { type HostWatch, watchHost } from "../../../src/host/watch/host-watch.js";
import type { Obituary } from "../../../src/host/watch/obituary.js";
import { writeSettings } from "../../../src/kernel/socket-options.js";
import { fdOf } from "../../kernel/support.js";
import { type Family, Hosts, needsNamespaces } from "../../support/namespaces.js";
import { until } from "../../support/until.js";

/** What kernels lack, newest first; together they have been all that there is to lack. */
const errors = "sock/inet_sk_error_report";
const send = "tcp/tcp_send_reset";
const receive = "tcp/tcp_receive_reset";
const destroy = "tcp/tcp_destroy_sock";
const cookies = [`${destroy}.sock_cookie`, `${receive}.sock_cookie`];
const kernels = {
  "this one": [],
  "6.9": [`${send}.reason`],
  "5.13": [`${send}.reason`, errors],
  "4.16": [`${send}.reason`, errors, ...cookies],
  "without RSTs sent": [send],
  "without RSTs received": [receive],
  "with states alone": [errors, send, receive, destroy, "sched/sched_process_exit"],
  "without events": ["sock/inet_sock_set_state"],
} as const;
type Kernel = keyof typeof kernels;

/** How each connection of near's ends: `state timer`, with "?" where that is no more than likely. */
const truth = {
  idle: "silent keepalive",
  sending: "silent user-timeout",
  rejected: "unreachable user-timeout",
  reset: "reset none",
  closed: "closed none",
  local: "local none",
  refused: "reset none",
  unanswered: "silent user-timeout",
  "connect rejected": "unreachable none",
} as const;
type Kind = keyof typeof truth;
const kinds = Object.keys(truth) as Kind[];

/** Nobody was told the router's word. The second SYN is the first to be rejected: the answer to the first comes too early. */
const unreported = {
  sending: "silent? user-timeout",
  rejected: "silent? user-timeout",
  unanswered: "silent? user-timeout",
  "connect rejected": "silent? user-timeout",
} as const;
/** What is told where less is known; null: too short to be seen in a list. For the last two the state depends on what was seen last. */
const told: Readonly<Record<Kernel, Partial<Record<Kind, string | null>>>> = {
  "this one": {},
  "6.9": {},
  "5.13": unreported,
  "4.16": unreported,
  "without RSTs sent": {},
  "without RSTs received": { refused: "reset? none" },
  "with states alone": {},
  "without events": { refused: null, unanswered: null, "connect rejected": null },
};
const blurred: ReadonlySet<Kernel> = new Set<Kernel>(["with states alone", "without events"]);

describe("one and the same deaths, told by", { skip: needsNamespaces, timeout: 120_000 }, () => {
  const families: readonly Family[] = [4, 6];
  const servers: Server[] = [];
  const far: Socket[] = [];
  const watches = new Map<Kernel, { readonly watch: HostWatch; readonly obituaries: Obituary[] }>();
  /** By family and kind: what identifies the near end. */
  const deaths = new Map<string, { readonly local: number | null; readonly remote: number }>();
  let hosts: Hosts;
  let nextPort = 7_000;

  before(async () => {
    hosts = new Hosts();
    hosts.enter("near");
    const filter = parseFilter({
      netns: [hosts.name("near"), hosts.name("far")],
      remote: families.map((family) => hosts.address("far", family)),
    });
    for (const kernel of Object.keys(kernels) as Kernel[]) {
      const watch = watchHost({ filter, without: kernels[kernel] });
      const obituaries: Obituary[] = [];
      watches.set(kernel, { watch, obituaries });
      void collect(watch, obituaries);
    }
    const pairs = new Map<string, Awaited<ReturnType<typeof established>>>();
    for (const family of families)
      for (const kind of ["idle", "sending", "rejected", "reset", "closed", "local"] as const) {
        const pair = await established(family);
        pairs.set(`${kind} ${family}`, pair);
        deaths.set(`${kind} ${family}`, { local: pair.near.localPort ?? null, remote: pair.port });
      }
    // The lists are looked at once a second; only what they have shown, both ends of it, can be missed in them.
    await until(() => [...watches.values()].every(({ watch }) => watch.sight.connections >= 2 * pairs.size));
    for (const family of families) {
      const at = (kind: Kind): Awaited<ReturnType<typeof established>> =>
        pairs.get(`${kind} ${family}`) as Awaited<ReturnType<typeof established>>;
      const keepalive = { enabled: true, idleMs: 1_000, intervalMs: 1_000, count: 2 };
      writeSettings(fdOf(at("idle").near), { keepalive });
      hosts.cut(at("idle").port);
      for (const kind of ["sending", "rejected"] as const)
        writeSettings(fdOf(at(kind).near), { userTimeoutMs: 1_500 });
      hosts.cut(at("sending").port);
      hosts.reject(at("rejected").port);
      for (const kind of ["sending", "rejected"] as const) at(kind).near.write("anybody there?");
      at("reset").far.resetAndDestroy();
      at("closed").far.end();
      at("local").near.destroy();
      attempts(family);
    }
  });

  after(() => {
    for (const { watch } of watches.values()) watch.close();
    for (const server of servers) server.close();
    for (const socket of far) socket.destroy();
    hosts[Symbol.dispose]();
  });

  async function established(family: Family): Promise<{ near: Socket; far: Socket; port: number }> {
    const server = createServer();
    const port = nextPort++;
    hosts.in("far", () => server.listen(port));
    servers.push(server);
    const near = connect({ host: hosts.address("far", family), port });
    near.on("error", () => {}).resume();
    const [[accepted]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [
      [Socket],
      unknown,
    ];
    accepted.on("error", () => {}).resume();
    far.push(accepted);
    return { near, far: accepted, port };
  }

  /** Connects that come to nothing, each in its way. */
  function attempts(family: Family): void {
    const host = hosts.address("far", family);
    const ports = { refused: nextPort++, unanswered: nextPort++, "connect rejected": nextPort++ };
    for (const [kind, remote] of Object.entries(ports))
      deaths.set(`${kind} ${family}`, { local: null, remote });
    hosts.cut(ports.unanswered);
    hosts.reject(ports["connect rejected"]);
    // Node cannot set an option before it connects; TCP_USER_TIMEOUT is 18.
    const script = `import socket
def attempt(port):
    s = socket.socket(socket.AF_INET${family === 6 ? "6" : ""})
    s.setsockopt(socket.IPPROTO_TCP, 18, 1500)
    try: s.connect(("${host}", port))
    except OSError: pass
for port in (${Object.values(ports).join(",")}): attempt(port)`;
    spawn("python3", ["-c", script], { stdio: ["ignore", "ignore", "inherit"] });
  }

  for (const kernel of Object.keys(kernels) as Kernel[])
    test(kernel, async () => {
      const { obituaries } = watches.get(kernel) as { obituaries: Obituary[] };
      const find = (name: string): Obituary | undefined => {
        const { local, remote } = deaths.get(name) as { local: number | null; remote: number };
        return obituaries.find(
          (one) => one.remote.port === remote && (local === null || one.local.port === local),
        );
      };
      const names = families.flatMap((family) => kinds.map((kind) => `${kind} ${family}`));
      const expected = (name: string): string | null => {
        const kind = name.slice(0, -2) as Kind;
        const less = told[kernel][kind];
        return less === undefined ? truth[kind] : less;
      };
      const due = names.filter((name) => expected(name) !== null);
      const missing = (): string[] => due.filter((name) => find(name) === undefined);
      await until(() => missing().length === 0).catch(() => assert.deepEqual(missing(), []));
      for (const name of due) {
        const [state = ""] = truth[name.slice(0, -2) as Kind].split(" ");
        const { verdict } = find(name) as Obituary;
        assert.ok(
          verdict.state === state || verdict.couldAlsoBe.some((other) => other === state),
          `${name}: ${JSON.stringify(verdict)}`,
        );
      }
      if (blurred.has(kernel)) return;
      const shown = due.map((name) => [name, shownAs(find(name) as Obituary)]);
      const wanted = due.map((name) => [name, expected(name)]);
      assert.deepEqual(shown, wanted);
    });
});

async function collect(watch: HostWatch, into: Obituary[]): Promise<void> {
  for await (const obituary of watch) into.push(obituary);
}

function shownAs({ verdict: { state, timer, certainty } }: Obituary): string {
  return `${state}${certainty === "certain" ? "" : "?"} ${timer}`;
}
