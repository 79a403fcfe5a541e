// How long `deadpeer set` takes for many thousand sockets of one process, and what that process's clients notice of it.
//
//   npm run build && npx tsc -p tsconfig.test.json && node .build/bench/set.js [sockets] [rounds]
//
// Needs root, iproute2 and python3. All of it lives in a network namespace of its own, made and removed here. The sockets are held by
// a Python program that answers one client, a byte at a time; the client's latency is compared with what it is while nothing else runs,
// and while another program does nothing but compute: where there are few cores, any work is felt.
import { newOwnedName } from "../src/kernel/owned-names.js";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** What one process may hold open, with some room below the usual limit of 20 000 files. */
const usualSockets = 18_000;
/** Longer than the idle time that --detect 35s chooses: connections that are about to get a user timeout are probed first. */
const silenceMs = 21_000;

const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

const holder = String.raw`
import socket, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
held = []
for _ in range(int(sys.argv[1]) // 2):
    client = socket.create_connection(listener.getsockname()); held += [client, listener.accept()[0]]
print(listener.getsockname()[1], flush=True)
asked = listener.accept()[0]
try:
    while byte := asked.recv(1): asked.send(byte)
except ConnectionError: pass
`;

/** Asks every millisecond and, when it is ended, says when it asked and how long the answer took, in seconds of CLOCK_MONOTONIC. */
const asker = String.raw`
import json, signal, socket, sys, time
asking = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
asked = []
def end(*_):
    print(json.dumps(asked)); sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    start = time.monotonic()
    asking.send(b"x"); asking.recv(1)
    asked.append([start, time.monotonic() - start])
    time.sleep(0.001)
`;

const computing = "const end = performance.now() + 800; while (performance.now() < end);";

interface Stretch {
  readonly phase: string;
  /** Of deadpeer, user and system; null: something else ran. */
  readonly cpuS: number | null;
  readonly fromS: number;
  readonly toS: number;
}

class Bench {
  readonly #name = newOwnedName("lab");
  readonly #run = mkdtempSync(join(tmpdir(), "deadpeer-bench-"));
  readonly #stretches: Stretch[] = [];

  async measure(sockets: number, rounds: number): Promise<void> {
    execFileSync("ip", ["netns", "add", this.#name]);
    const programs: ChildProcess[] = [];
    try {
      execFileSync("ip", ["-n", this.#name, "link", "set", "lo", "up"]);
      const sysctls = ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_congestion_control=reno"];
      execFileSync("ip", ["netns", "exec", this.#name, "sysctl", "-qw", ...sysctls]);
      const program = this.#start("python3", "-c", holder, String(sockets));
      programs.push(program);
      const [port] = (await once(program.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
      const madeAt = performance.now();
      const client = this.#start("python3", "-c", asker, port.toString().trim());
      programs.push(client);
      const answers = textOf(client);
      for (let round = 0; round < rounds; round++) await this.#round(String(program.pid), sockets, madeAt);
      client.kill("SIGTERM");
      this.#print(JSON.parse(await answers) as [number, number][], sockets, rounds);
    } finally {
      for (const program of programs) program.kill("SIGKILL");
      execFileSync("ip", ["netns", "delete", this.#name]);
      rmSync(this.#run, { recursive: true });
    }
  }

  async #round(pid: string, sockets: number, madeAt: number): Promise<void> {
    await this.#during("nothing", sleep(1_000));
    await this.#during("another process computes", this.#ended(process.execPath, "-e", computing));
    await this.#during("an empty program in Node", this.#ended(process.execPath, "-e", "0"));
    const times = ["--idle", "600s", "--interval", "60s", "--count", "5"];
    await this.#during("set", this.#deadpeer(sockets, "set", "--pid", pid, ...times));
    await this.#during("undo", this.#deadpeer(sockets, "set", "--undo"));
    await sleep(Math.max(0, silenceMs - (performance.now() - madeAt)));
    await this.#during(
      "set, peers asked first",
      this.#deadpeer(sockets, "set", "--pid", pid, "--detect", "35s"),
    );
    await this.#during("undo", this.#deadpeer(sockets, "set", "--undo"));
  }

  async #during(phase: string, work: Promise<unknown>): Promise<void> {
    const fromS = nowS();
    const said = await work;
    this.#stretches.push({ phase, cpuS: typeof said === "number" ? said : null, fromS, toS: nowS() });
  }

  /** With a /run of its own. Gives the processor time that it took, in seconds. */
  async #deadpeer(sockets: number, ...args: readonly string[]): Promise<number> {
    const script = 'mount --bind "$0" /run && "$@" && times';
    const command = ["unshare", "--mount", "sh", "-c", script, this.#run, process.execPath, cli, ...args];
    const said = await this.#ended(...command);
    // One more is the connection that the requests come by.
    const done = Number(/(\d+)\s+(changed|as\s+before\s+again)/.exec(said)?.[1]);
    if (!(done >= sockets)) throw new Error(`deadpeer ${args.join(" ")}: ${said}`);
    // The second line of times(1) is of the shell's children: 0m1.23s 0m0.45s.
    const [, minutes, user, , system] = /(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(said) ?? [];
    return Number(minutes) * 60 + Number(user) + Number(system);
  }

  async #ended(...command: readonly string[]): Promise<string> {
    const child = this.#start(...command);
    const text = await textOf(child);
    if (child.exitCode !== 0) throw new Error(`${command.join(" ")} failed: ${text}`);
    return text;
  }

  #start(...command: readonly string[]): ChildProcess {
    return spawn("ip", ["netns", "exec", this.#name, ...command], { stdio: ["ignore", "pipe", "inherit"] });
  }

  #print(answers: readonly [number, number][], sockets: number, rounds: number): void {
    console.log(
      `${sockets} sockets of one process, ${rounds} rounds; the process's answers to one request a millisecond`,
    );
    console.log(`${"while".padEnd(26)}  seconds    cpu s   p50 us   p99 us   max ms  answers`);
    for (const phase of new Set(this.#stretches.map((stretch) => stretch.phase))) {
      const stretches = this.#stretches.filter((stretch) => stretch.phase === phase);
      const tookS = stretches.map(({ fromS, toS }) => toS - fromS);
      const latencies = answers
        .filter(([atS]) => stretches.some(({ fromS, toS }) => atS >= fromS && atS <= toS))
        .map(([, latency]) => latency)
        .sort((a, b) => a - b);
      const at = (part: number): number => latencies[Math.floor((latencies.length - 1) * part)] ?? Number.NaN;
      const cpuS = middle(stretches.flatMap((stretch) => stretch.cpuS ?? []));
      const figures = [
        middle(tookS).toFixed(2).padStart(7),
        (Number.isNaN(cpuS) ? "" : cpuS.toFixed(2)).padStart(7),
        (at(0.5) * 1e6).toFixed(0).padStart(7),
        (at(0.99) * 1e6).toFixed(0).padStart(7),
        (at(1) * 1e3).toFixed(1).padStart(7),
        String(latencies.length).padStart(7),
      ];
      console.log(`${phase.padEnd(26)}  ${figures.join("  ")}`);
    }
  }
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout?.on("data", (part: Buffer) => (text += part.toString()));
  await once(child, "close");
  return text;
}

function middle(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN;
}

/** CLOCK_MONOTONIC, as Python has it. */
function nowS(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

const [sockets = usualSockets, rounds = 7] = process.argv.slice(2).map(Number);
await new Bench().measure(sockets, rounds);
