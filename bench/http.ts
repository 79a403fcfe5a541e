// HTTP keep-alive: what the clients cost, what the race and restarts break, and what reuse saves.
//
//   npx tsc -p tsconfig.test.json && node .build/bench/http.js [--json] [speed|race|restart|reuse] [rounds]
//
// Needs root, iproute2 and nginx. Clients take turns, against servers in processes of their own.
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { type Agent as NodeAgent, createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { HttpAgent as AgentKeepalive } from "agentkeepalive";
import { Agent, type Dispatcher, request } from "undici";
import { createAgent, createDispatcher } from "../src/http/index.js";
import { inNamespace, namespaceAt } from "../src/kernel/namespaces.js";
import { newOwnedName } from "../src/kernel/owned-names.js";
import { selfSigned } from "../test/support/certificate.js";
import { get } from "../test/support/http-get.js";
import { type Ask, load, loopbackOrigins, race, type RaceResult } from "../test/support/http-race.js";
import { startNginx } from "../test/support/nginx.js";
import { packetsOf } from "./http/packets.js";
import { spreadOf } from "./spread.js";

const self = fileURLToPath(import.meta.url);
const atOnce = 50;

interface Contender {
  readonly ask: Ask;
  readonly end: () => unknown;
}

const overDispatcher = (dispatcher: Dispatcher): Contender => ({
  ask: async (origin) => {
    const { headers, body } = await request(origin, { dispatcher });
    await body.text();
    return Number(headers["x-requests"]);
  },
  end: () => dispatcher.destroy(),
});

const overAgent = (agent: NodeAgent): Contender => ({
  ask: async (origin) => Number((await get(origin, { agent })).response.headers["x-requests"]),
  end: () => agent.destroy(),
});

const contenders: Readonly<Record<string, () => Contender>> = {
  undici: () => overDispatcher(new Agent({ connections: atOnce })),
  createDispatcher: () => overDispatcher(createDispatcher({ connections: atOnce })),
  agentkeepalive: () => overAgent(new AgentKeepalive({ maxSockets: atOnce })),
  createAgent: () => overAgent(createAgent({ maxSockets: atOnce })),
};

/**
 * Requests a second, and the client's time for each, one after the other over 50 connections, against a Node server's 2 bytes. Each client
 * is in a process of its own, as it is where it is used: V8 compiles undici for the handlers that it meets, and in one process those of
 * all would be met by all. undici stands there twice, to show what the machine alone makes of it.
 */
async function speed(rounds: number): Promise<unknown> {
  const server = fork(self, ["serve", "http"]);
  const [{ port }] = (await once(server, "message")) as [{ readonly port: number }];
  const made = [...Object.keys(contenders), "undici"].map((name) => ({
    child: fork(self, ["ask", name, `http://127.0.0.1:${port}`]),
    rates: [] as number[],
    cpuUs: [] as number[],
  }));
  // Short rounds in turns, so that other work on the machine falls on all alike; the first ones warm up.
  for (let round = -10; round < rounds; round++)
    for (const { child, rates, cpuUs } of round % 2 === 0 ? made : made.toReversed()) {
      child.send("round");
      const [{ rate, us }] = (await once(child, "message")) as [
        { readonly rate: number; readonly us: number },
      ];
      if (round < 0) continue;
      rates.push(rate);
      cpuUs.push(us);
    }
  for (const { child } of made) child.kill();
  server.kill();
  const [undici, dispatcher, agentkeepalive, agent, again] = made;
  return {
    ...Object.fromEntries(
      Object.keys(contenders).map((name, index) => [name, figuresOf(made[index] as Measured)]),
    ),
    "createDispatcher / undici": ratios(dispatcher, undici),
    "undici again / undici": ratios(again, undici),
    "createAgent / agentkeepalive": ratios(agent, agentkeepalive),
  };
}

/** In a process of its own: asks a thousand times whenever it is told to. */
function askInRounds(name: string, origin: string): void {
  const contender = contenders[name]?.();
  const requests = 1_000;
  process.on("message", async () => {
    if (contender === undefined) return;
    const before = process.cpuUsage();
    const rate = await perSecond(contender.ask, origin, requests);
    const { user, system } = process.cpuUsage(before);
    process.send?.({ rate, us: (user + system) / requests });
  });
  process.once("disconnect", () => process.exit());
}

interface Measured {
  readonly rates: readonly number[];
  readonly cpuUs: readonly number[];
}

function figuresOf({ rates, cpuUs }: Measured): unknown {
  return { perSecond: spreadOf(rates), cpuUs: spreadOf(cpuUs) };
}

/** Of rounds side by side: what the machine does meanwhile weighs on both. */
function ratios(one: Measured | undefined, other: Measured | undefined): unknown {
  return { perSecond: ratioOf(one?.rates, other?.rates), cpu: ratioOf(one?.cpuUs, other?.cpuUs) };
}

function ratioOf(one: readonly number[] = [], other: readonly number[] = []): number {
  return spreadOf(one.map((figure, round) => figure / (other[round] ?? Number.NaN))).median;
}

async function perSecond(ask: Ask, origin: string, requests: number): Promise<number> {
  const from = performance.now();
  let left = requests;
  const run = async (): Promise<void> => {
    while (left-- > 0) await ask(origin);
  };
  await Promise.all(Array.from({ length: atOnce }, run));
  return (requests / (performance.now() - from)) * 1_000;
}

/** 20 000 requests, each at the moment at which nginx closes its connection. */
async function races(): Promise<unknown> {
  const keptMs = 300;
  await using nginx = await startNginx(`${keptMs}ms`);
  const results: Record<string, RaceResult & { readonly seconds: number }> = {};
  for (const [name, make] of Object.entries(contenders)) {
    const { ask, end } = make();
    const from = performance.now();
    const result = await race(ask, loopbackOrigins(250, nginx.port), { requests: 20_000, keptMs });
    results[name] = { ...result, seconds: Math.round((performance.now() - from) / 1_000) };
    await end();
  }
  return results;
}

/** nginx hands over to new workers five times a second, for 8 s, under load. */
async function restarts(): Promise<unknown> {
  await using nginx = await startNginx("75s");
  const results: Record<string, RaceResult> = {};
  for (const [name, make] of Object.entries(contenders)) {
    const { ask, end } = make();
    const stop = new AbortController();
    let reloads = 0;
    const timer = setInterval(() => {
      nginx.reload();
      if (++reloads === 40) stop.abort();
    }, 200);
    results[name] = await load(ask, `http://127.0.0.1:${nginx.port}`, atOnce, stop.signal);
    clearInterval(timer);
    await end();
  }
  return results;
}

/** In a network namespace of its own, whose packets are these alone. */
async function reuse(): Promise<unknown> {
  const name = newOwnedName("lab");
  execFileSync("ip", ["netns", "add", name]);
  try {
    execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
    const child = inNamespace(namespaceAt(name), () => fork(self, ["measure-reuse"]));
    const [results] = await once(child, "message");
    return results;
  } finally {
    execFileSync("ip", ["netns", "delete", name]);
  }
}

/** The same requests with and without keep-alive, plain and over TLS: rate, processor time of both sides, packets. */
async function measureReuse(): Promise<unknown> {
  const results: Record<string, unknown> = {};
  for (const scheme of ["http", "https"] as const) {
    const server = fork(self, ["serve", scheme]);
    const [{ port, cert }] = (await once(server, "message")) as [
      { readonly port: number; readonly cert?: string },
    ];
    const origin = `${scheme}://127.0.0.1:${port}`;
    const connect = cert === undefined ? {} : { connect: { ca: cert, maxCachedSessions: 0 } };
    for (const [how, pipelining] of [
      ["kept", 1],
      ["new for each", 0],
    ] as const) {
      const dispatcher = createDispatcher({ connections: 10, pipelining, ...connect });
      const { ask } = overDispatcher(dispatcher);
      await perSecond(ask, origin, 500);
      const requests = 3_000;
      const cpuBefore = process.cpuUsage();
      const serverBefore = await cpuOf(server);
      const { result: rate, packets } = await packetsOf(() => perSecond(ask, origin, requests));
      const { user, system } = process.cpuUsage(cpuBefore);
      const serverUs = (await cpuOf(server)) - serverBefore;
      results[`${scheme}, ${how}`] = {
        requestsPerSecond: Math.round(rate),
        clientUs: Math.round((user + system) / requests),
        serverUs: Math.round(serverUs / requests),
        packets: Number((packets / requests).toFixed(1)),
      };
      await dispatcher.destroy();
    }
    server.kill();
  }
  return results;
}

const answer: RequestListener = (_, response) => {
  response.setHeader("x-requests", 1);
  response.end("ok");
};

async function cpuOf(server: ChildProcess): Promise<number> {
  server.send("cpu");
  const [us] = (await once(server, "message")) as [number];
  return us;
}

function serve(scheme: string): void {
  const identity = scheme === "https" ? selfSigned() : null;
  const server: Server = identity === null ? createServer(answer) : createTlsServer(identity, answer);
  server.listen({ port: 0, host: "127.0.0.1", backlog: 4_096 }, () => {
    process.send?.({ port: (server.address() as AddressInfo).port, cert: identity?.cert });
  });
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.once("disconnect", () => process.exit());
}

const parts = { speed, race: races, restart: restarts, reuse };
const given = process.argv.slice(2);
if (given[0] === "serve") serve(given[1] ?? "http");
else if (given[0] === "ask") askInRounds(given[1] ?? "", given[2] ?? "");
else if (given[0] === "measure-reuse") {
  const results = await measureReuse();
  process.send?.(results, () => process.exit());
} else {
  const rounds = Number(given.find((argument) => /^\d+$/.test(argument)) ?? 41);
  const chosen = given.filter((argument) => argument in parts);
  const results: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(parts))
    if (chosen.length === 0 || chosen.includes(name)) {
      results[name] = await part(rounds);
      if (!given.includes("--json")) console.log(name, JSON.stringify(results[name], rounded, 2));
    }
  if (given.includes("--json")) console.log(JSON.stringify(results));
  process.exit();
}

function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(4)) : value;
}
