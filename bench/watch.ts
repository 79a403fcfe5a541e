// Whether `deadpeer watch --json` loses any of many deaths, and how much of a processor it takes.
//
//   npm run build && npx tsc -p tsconfig.test.json && node .build/bench/watch.js [deaths per second] [seconds]
//
// Needs root and iproute2. The connections are made by processes of their own, in a network namespace of their own, made and removed
// here; each has two ends on this host, and so dies twice. What else dies on the machine meanwhile costs the watch as much.
import { newOwnedName } from "../src/kernel/owned-names.js";
import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { inNamespace, namespaceAt } from "../src/kernel/namespaces.js";

const self = fileURLToPath(import.meta.url);
const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** Kernel ticks of /proc/PID/stat, sysconf(_SC_CLK_TCK) on every Linux that Node runs on. */
const tickMs = 10;

/** Accepts connections, takes what they send, and ends them when they are ended. */
function serve(): void {
  const server = createServer((socket) => {
    socket.resume();
    socket.on("error", () => {});
  });
  server.listen({ port: 0, host: "10.99.0.1", backlog: 4_096 }, () =>
    process.send?.((server.address() as AddressInfo).port),
  );
  process.once("disconnect", () => process.exit());
}

interface Ended {
  readonly connections: number;
  readonly tookMs: number;
}

/** Makes and ends connections at a steady pace, one in four by an RST. */
async function end(port: number, perSecond: number, seconds: number): Promise<void> {
  const wanted = perSecond * seconds;
  let begun = 0;
  let over = 0;
  const startedMs = performance.now();
  await new Promise<void>((resolve) => {
    const one = (): void => {
      const index = begun++;
      const socket = connect({ port, host: "10.99.0.1" }, () => {
        socket.write("hello");
        if (index % 4 === 0) socket.resetAndDestroy();
        else socket.end();
      });
      socket.on("error", (error) => {
        throw error;
      });
      socket.on("close", () => {
        if (++over === wanted) resolve();
      });
      socket.resume();
    };
    const timer = setInterval(() => {
      const due = Math.min(wanted, Math.floor(((performance.now() - startedMs) / 1_000) * perSecond));
      for (let left = due - begun; left > 0; left--) one();
      if (begun === wanted) clearInterval(timer);
    }, 5);
  });
  process.send?.({ connections: over, tookMs: performance.now() - startedMs } satisfies Ended);
}

async function main(perSecond: number, seconds: number): Promise<void> {
  const name = newOwnedName("lab");
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-bench-"));
  const children: ChildProcess[] = [];
  execFileSync("ip", ["netns", "add", name]);
  try {
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    execFileSync("ip", ["-n", name, "address", "add", "10.99.0.1/24", "dev", "lo"]);
    const sysctls = ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_congestion_control=reno"];
    execFileSync("ip", ["netns", "exec", name, "sysctl", "-qw", ...sysctls]);
    const namespace = namespaceAt(name);
    const server = inNamespace(namespace, () => fork(self, ["serve"]));
    children.push(server);
    const [port] = (await once(server, "message")) as [number];

    const told = join(folder, "told");
    const watch = spawn(process.execPath, [cli, "watch", "--json", "--port", String(port)], {
      stdio: ["ignore", openSync(told, "w"), "pipe"],
    });
    children.push(watch);
    let said = "";
    await new Promise<void>((resolve) =>
      watch.stderr?.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (said.includes("watching")) resolve();
      }),
    );
    const pid = watch.pid as number;
    const idleMs = processorMs(pid);
    const connections = String(Math.round(perSecond / 2));
    const client = inNamespace(namespace, () =>
      fork(self, ["end", String(port), connections, String(seconds)]),
    );
    children.push(client);
    const [ended] = (await once(client, "message")) as [Ended];
    const busyMs = processorMs(pid) - idleMs;
    // What has died by now is told within moments; the watch tells it at its end at the latest.
    watch.kill("SIGTERM");
    await once(watch, "close");
    report(ended, busyMs, await tally(told, port), said);
  } finally {
    for (const child of children) child.kill();
    await Promise.all(children.map(gone));
    execFileSync("ip", ["netns", "delete", name]);
    rmSync(folder, { recursive: true });
  }
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** Processor time of a process so far, all its threads together. */
function processorMs(pid: number): number {
  // Behind the name, which may hold anything, from field 3 on (proc_pid_stat(5)).
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

interface Tally {
  /** Of the server's ends, and of the clients'. */
  readonly server: number;
  readonly clients: number;
  readonly states: Map<string, number>;
  readonly without: { readonly processes: number; readonly bytes: number; readonly netns: number };
}

async function tally(file: string, port: number): Promise<Tally> {
  const states = new Map<string, number>();
  const without = { processes: 0, bytes: 0, netns: 0 };
  let server = 0;
  let clients = 0;
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const { local, processes, bytes, netns, verdict } = JSON.parse(line) as {
      readonly local: AddressInfo;
      readonly processes: readonly unknown[];
      readonly bytes: unknown;
      readonly netns: string | null;
      readonly verdict: { readonly state: string };
    };
    if (local.port === port) server++;
    else clients++;
    states.set(verdict.state, (states.get(verdict.state) ?? 0) + 1);
    if (processes.length === 0) without.processes++;
    if (bytes === null) without.bytes++;
    if (netns === null) without.netns++;
  }
  return { server, clients, states, without };
}

function report(
  { connections, tookMs }: Ended,
  busyMs: number,
  { server, clients, states, without }: Tally,
  said: string,
): void {
  const expected = connections * 2;
  const each = [...states].map(([state, count]) => `${count} ${state}`).join(", ");
  console.log(
    [
      `${expected} deaths in ${(tookMs / 1_000).toFixed(1)} s, ${Math.round((expected / tookMs) * 1_000)} a second`,
      `told: ${server} ends of the server and ${clients} of the clients, ${expected - server - clients} lost (goal: 0): ${each}`,
      `  without process ${without.processes}, without bytes ${without.bytes}, without namespace ${without.netns}`,
      `deadpeer watch --json: ${(busyMs / tookMs).toFixed(2)} of a processor (goal: at most 0.5)`,
      ...said.trim().split("\n").slice(1),
    ].join("\n"),
  );
}

const [first, ...rest] = process.argv.slice(2);
if (first === "serve") serve();
else if (first === "end") {
  const [port, perSecond, seconds] = rest.map(Number) as [number, number, number];
  await end(port, perSecond, seconds);
} else await main(Number(first ?? 5_000), Number(rest[0] ?? 10));
