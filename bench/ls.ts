// How long `deadpeer ls --json` takes for many thousand sockets, against ss(8) printing the same columns in the same run.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/ls.js [sockets] [rounds]
//
// Needs root, iproute2 and a built dist/. The sockets live in a network namespace of their own, made and removed here.
import { newOwnedName } from "../src/kernel/owned-names.js";
import { type ChildProcess, execFileSync, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { inNamespace, namespaceAt } from "../src/kernel/namespaces.js";

/** What one process may hold open, with some room below the usual limit of 20 000 files. */
const socketsPerProcess = 18_000;
/** A connect burst larger than the accept queue waits for SYN retransmissions. */
const burst = 100;

const self = fileURLToPath(import.meta.url);
const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

interface Contest {
  readonly name: string;
  readonly ours: readonly string[];
  readonly theirs: readonly string[];
  /** The ratio that the project promises. */
  readonly goal: number;
}

const contests: readonly Contest[] = [
  {
    name: "from the kernel's list alone",
    ours: ["ls", "--json", "--fast"],
    theirs: ["-tnoiH"],
    goal: 0.75,
  },
  {
    name: "processes, and settings read from every socket",
    ours: ["ls", "--json"],
    theirs: ["-tnoiepH"],
    goal: 1,
  },
];

/** Holds both ends of `connections` connections until its parent lets go. */
async function hold(connections: number): Promise<void> {
  const held: Socket[] = [];
  const server = createServer((socket) => held.push(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  for (let made = 0; made < connections; made += burst) {
    await Promise.all(
      Array.from({ length: Math.min(burst, connections - made) }, async (_, index) => {
        const socket = connect({ port: address.port, host: "127.0.0.1", keepAlive: index % 2 === 0 });
        held.push(socket);
        await once(socket, "connect");
      }),
    );
  }
  process.send?.("ready");
  process.once("disconnect", () => process.exit());
}

async function main(sockets: number, rounds: number): Promise<void> {
  const name = newOwnedName("lab");
  execFileSync("ip", ["netns", "add", name]);
  const holders: ChildProcess[] = [];
  try {
    const namespace = namespaceAt(name);
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    const sysctls = ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_congestion_control=reno"];
    execFileSync("ip", ["netns", "exec", name, "sysctl", "-qw", ...sysctls]);
    for (let left = sockets; left > 0; left -= socketsPerProcess) {
      const connections = String(Math.ceil(Math.min(left, socketsPerProcess) / 2));
      const holder = inNamespace(namespace, () => fork(self, ["hold", connections]));
      holders.push(holder);
      await once(holder, "message");
    }
    inNamespace(namespace, () => race(rounds));
  } finally {
    for (const holder of holders) holder.kill();
    execFileSync("ip", ["netns", "delete", name]);
  }
}

function race(rounds: number): void {
  const listed = JSON.parse(
    spawnSync(process.execPath, [cli, "ls", "--json"], { maxBuffer: 2 ** 30, encoding: "utf8" }).stdout,
  ) as { settingsFrom: string }[];
  const read = listed.filter(({ settingsFrom }) => settingsFrom === "socket").length;
  console.log(
    `${listed.length} sockets, settings read from ${read}; medians of ${rounds} rounds, to /dev/null`,
  );
  console.log(
    `  an empty program in Node: ${Math.round(median(rounds, () => time(process.execPath, ["-e", "0"])))} ms`,
  );
  for (const { name, ours, theirs, goal } of contests) {
    const own: number[] = [];
    const other: number[] = [];
    for (let round = 0; round < rounds; round++) {
      own.push(time(process.execPath, [cli, ...ours]));
      other.push(time("ss", theirs));
    }
    const [mine, its] = [middle(own), middle(other)];
    console.log(
      `${name}:\n  deadpeer ${ours.join(" ")}: ${Math.round(mine)} ms; ss ${theirs.join(" ")}: ${Math.round(its)} ms; ` +
        `ratio ${(mine / its).toFixed(2)} (goal: at most ${goal})`,
    );
  }
}

function time(command: string, args: readonly string[]): number {
  const start = performance.now();
  const { status, error } = spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed`, { cause: error });
  return performance.now() - start;
}

function median(rounds: number, measure: () => number): number {
  return middle(Array.from({ length: rounds }, measure));
}

function middle(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN;
}

const [first, second] = process.argv.slice(2);
if (first === "hold") await hold(Number(second));
else await main(Number(first ?? 36_000), Number(second ?? 9));
