import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { BlockList } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as fc from "fast-check";
import { DeadpeerError } from "../../src/errors.js";
import { DiagFilter } from "../../src/kernel/diag-query.js";
import { dump, encodeAttribute, encodeRequest } from "../../src/kernel/netlink.js";
import { type NetlinkChannel, openNetlink } from "../../src/kernel/netlink-channel.js";
import { inNamespace, type NetworkNamespace, namespaceAt } from "../../src/kernel/namespaces.js";
import { type DiagQuery, type DiagSocket, dumpThrough, listSockets } from "../../src/kernel/sock-diag.js";
import type { TcpState } from "../../src/kernel/tcp-states.js";
import { Population } from "./population.js";
import { loopbackConnection, needsRoot, run } from "./support.js";

/** A condition that the kernel brings about by itself, a timer of its at the latest. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited for ${what} in vain`);
    await sleep(20);
  }
}

describe("in a namespace with sockets in every state", { skip: needsRoot }, () => {
  let population: Population;
  let namespace: NetworkNamespace;
  before(async () => {
    population = await Population.start(`${newOwnedName("lab")}-diag`);
    namespace = namespaceAt(population.namespace);
    await until(
      () => list().some(({ timer }) => timer.kind === "zero-window"),
      "a window to be found closed",
    );
  });
  after(() => population.end());

  function list(query: DiagQuery = {}): DiagSocket[] {
    return listSockets(query, namespace);
  }

  function open(): NetlinkChannel {
    return inNamespace(namespace, () => openNetlink(4));
  }

  /** How many sockets the kernel describes in answer to a query. */
  function received(query: DiagQuery): number {
    const filter = new DiagFilter(query);
    const families = filter.kernelFamilies();
    return families.flatMap(
      (family) =>
        dump<number>(open, 20, filter.encode(family), (_, start, __, into) => into.push(start)).items,
    ).length;
  }

  test("all states, timers and families are there", () => {
    const seen = new Set(
      list().flatMap((socket) => [socket.state, socket.timer.kind, describeFamily(socket)]),
    );
    const states = ["LISTEN", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2"];
    states.push("CLOSE_WAIT", "LAST_ACK", "CLOSING", "TIME_WAIT");
    const timers = ["none", "retransmit", "keepalive", "time-wait", "zero-window"];
    for (const expected of [...states, ...timers, "4", "6", "mapped"])
      assert.ok(seen.has(expected), expected);
  });

  test("agrees with ss on every field of every socket", () => {
    const earlier = listWithSs(population.namespace);
    const ours = new Map(
      list({ info: true }).map((socket) => [socket.cookie, comparable(socket, population.namespace)]),
    );
    const later = listWithSs(population.namespace);
    const lasting = [...earlier].filter(([cookie]) => later.has(cookie));
    assert.ok(lasting.length > 60);
    for (const [cookie, first] of lasting) {
      const socket = ours.get(cookie);
      const second = later.get(cookie);
      assert.ok(socket !== undefined && second !== undefined, `${JSON.stringify(first)} is missing`);
      // Timers run on; what changed between the two looks of ss may have either value between them.
      const { expiresMs, ...fixed } = socket;
      // A timer that fired meanwhile may have fired before our look and again after it.
      if (second.timer !== first.timer || second.retransmits !== first.retransmits) continue;
      for (const field of Object.keys(fixed) as (keyof typeof fixed)[])
        assert.ok(
          socket[field] === first[field] || socket[field] === second[field],
          `${field}: ${JSON.stringify({ socket, first, second })}`,
        );
      // ss prints whole seconds from 10 s on and whole minutes from 10 min on.
      const roundingMs = first.expiresMs >= 600_000 ? 60_000 : 1_000;
      // A retransmission between the two looks armed the timer anew; just before it there was nothing left.
      const low = second.expiresMs > first.expiresMs ? 0 : second.expiresMs;
      const high = Math.max(first.expiresMs, second.expiresMs) + roundingMs;
      assert.ok(expiresMs >= low && expiresMs <= high, JSON.stringify({ socket, first, second }));
    }
    for (const cookie of ours.keys())
      assert.ok(earlier.has(cookie) || later.has(cookie), `${cookie} is too much`);
  });

  test("tcp_info is there when asked for, where the kernel has one, and says the same state", () => {
    for (const { state, info } of list()) assert.equal(info, null, state);
    for (const { state, info, inode } of list({ info: true })) {
      if (state === "TIME_WAIT" || state === "SYN_RECV" || (state === "FIN_WAIT2" && inode === 0))
        assert.equal(info, null, state);
      else assert.equal(info?.state, state);
    }
  });

  test("prints as JSON", () => {
    const [socket] = list({ states: ["ESTABLISHED"], info: true });
    const printed = JSON.parse(JSON.stringify(socket)) as Record<string, unknown>;
    assert.equal(printed["state"], "ESTABLISHED");
    assert.equal(printed["cookie"], String(socket?.cookie));
    assert.equal((printed["info"] as Record<string, unknown>)["state"], "ESTABLISHED");
  });

  test("the kernel's filter leaves what a plain reading of the query leaves", () => {
    const samples = list();
    fc.assert(
      fc.property(queries(samples), (query) => {
        const earlier = unfiltered();
        const found = new Set(list(query).map(({ cookie }) => cookie));
        const later = unfiltered();
        for (const [cookie, socket] of earlier) {
          // Half-open connections give up and data arrives while this runs.
          if (later.get(cookie)?.state !== socket.state) continue;
          assert.equal(found.has(cookie), isWanted(socket, query), JSON.stringify(socket));
        }
        for (const cookie of found) assert.ok(earlier.has(cookie) || later.has(cookie));
      }),
      { numRuns: 150 },
    );
    function unfiltered(): Map<bigint, DiagSocket> {
      return new Map(list().map((socket) => [socket.cookie, socket]));
    }
  });

  test("what is left out does not cross into this process", () => {
    const [listener] = list({ states: ["LISTEN"], families: [4] });
    assert.ok(listener !== undefined);
    const { port } = listener.local;
    const cases: DiagQuery[] = [
      { states: ["TIME_WAIT"] },
      { local: { port } },
      { port },
      { local: { address: "127.1.2.3" } },
      { remote: { address: "127.0.0.0/8" } },
      { remote: { address: "2001:db8::/32" } },
    ];
    for (const query of cases) assert.equal(received(query), list(query).length, JSON.stringify(query));
    assert.ok(received({}) > 60);
  });

  test("a query for nothing gives nothing", () => {
    assert.deepEqual(list({ states: [] }), []);
    assert.deepEqual(list({ families: [] }), []);
    assert.deepEqual(list({ families: [4], local: { address: "::1" } }), []);
    assert.deepEqual(list({ local: { address: "::1" }, remote: { address: "127.0.0.1" } }), []);
  });
});

test("the own namespace's sockets are listed without privilege", async () => {
  await using connection = await loopbackConnection();
  // An earlier connection's TIME_WAIT may stand on any port.
  const found = listSockets({
    states: ["ESTABLISHED"],
    local: { address: "127.0.0.1", port: connection.port },
  });
  assert.equal(found.length, 1);
  const [socket] = found;
  assert.equal(socket?.state, "ESTABLISHED");
  assert.deepEqual(socket.remote, { address: "127.0.0.1", port: connection.client.remotePort });
  assert.equal(socket.uid, process.getuid?.());
});

describe("bad queries", () => {
  const cases: [string, DiagQuery][] = [
    ["a port beyond 65535", { port: 65_536 }],
    ["a negative port", { local: { port: -1 } }],
    ["half a port", { remote: { port: 1.5 } }],
    ["a name instead of an address", { remote: { address: "localhost" } }],
    ["too long a prefix", { local: { address: "10.0.0.0/33" } }],
  ];
  for (const [name, query] of cases)
    test(name, () => {
      assert.throws(
        () => listSockets(query),
        (error) => error instanceof DeadpeerError && error.code === "bad-address",
      );
    });
});

describe("what the kernel might answer", () => {
  const port = 1;

  /** Answers the first request with these payloads of sockets, and every other with an empty list. */
  function answering(payloads: readonly Uint8Array[]): () => NetlinkChannel {
    let asked = 0;
    return () => {
      const messages = asked++ === 0 ? payloads.map((payload) => message(20, payload)) : [];
      const queue = [...messages, message(3, Buffer.alloc(4))];
      return {
        port,
        send: () => {},
        receive: (into) => {
          const next = queue.shift();
          next?.copy(into);
          return next?.length ?? null;
        },
        [Symbol.dispose]: () => {},
      };
    };
  }

  function message(type: number, payload: Uint8Array): Buffer {
    const bytes = encodeRequest(type, 2, 1, Buffer.from(payload));
    bytes.writeUInt32LE(port, 12);
    return bytes;
  }

  // Family 2, state 1, timer 2, 3 probes; ports 443 and 50000; 10.0.0.1 and 10.0.0.2; interface 7; cookie; 1500 ms; queues 5
  // and 6; uid 1000; inode 4711.
  const socket = Buffer.from(
    `02010203 01bbc350 0a000001${"0".repeat(24)} 0a000002${"0".repeat(24)} 07000000 0100000002000000
     dc050000 05000000 06000000 e8030000 67120000`.replaceAll(/\s/g, ""),
    "hex",
  );

  function only(...attributes: Buffer[]): DiagSocket {
    const { sockets } = dumpThrough(answering([Buffer.concat([socket, ...attributes])]), {
      families: [4, 6],
    });
    assert.equal(sockets.length, 1);
    return sockets[0] as DiagSocket;
  }

  test("every field is read from its place", () => {
    const cgroup = Buffer.alloc(8);
    cgroup.writeBigUInt64LE(0x1_0000_0005n);
    assert.deepEqual(JSON.parse(JSON.stringify(only(encodeAttribute(21, cgroup)))), {
      family: 4,
      mapped: false,
      state: "ESTABLISHED",
      local: { address: "10.0.0.1", port: 443 },
      remote: { address: "10.0.0.2", port: 50_000 },
      interfaceIndex: 7,
      inode: 4711,
      uid: 1000,
      cookie: "8589934593",
      timer: { kind: "keepalive", expiresMs: 1_500, retransmits: 3 },
      receiveQueue: 5,
      sendQueue: 6,
      info: null,
      cgroupId: "4294967301",
    });
  });

  test("what was received last is the younger of data and acknowledgement, whatever was sent", () => {
    const info = Buffer.alloc(104);
    info.writeUInt32LE(5, 44);
    info.writeUInt32LE(900, 52);
    info.writeUInt32LE(300, 56);
    assert.equal(only(encodeAttribute(2, info)).lastReceivedMs, 300);
    info.writeUInt32LE(200, 52);
    assert.equal(only(encodeAttribute(21, Buffer.alloc(8)), encodeAttribute(2, info)).lastReceivedMs, 200);
    assert.equal(only(encodeAttribute(2, info.subarray(0, 56))).lastReceivedMs, 0);
    assert.equal(only().lastReceivedMs, null);
  });

  function situationOf(change: (bytes: Buffer) => void, window = 1): number {
    const bytes = Buffer.from(socket);
    change(bytes);
    const info = Buffer.alloc(232);
    info.writeUInt32LE(window, 228);
    const [shown] = dumpThrough(answering([Buffer.concat([bytes, encodeAttribute(2, info)])]), {}).sockets;
    return (shown as DiagSocket).situation;
  }

  test("a situation differs with state, timer, retransmissions, holder, queue and window alone", () => {
    const same = situationOf(() => {});
    const counts = [4, 6, 8, 24, 44, 48, 52, 56, 64];
    for (const at of counts)
      assert.equal(
        situationOf((bytes) => bytes.writeUInt8(77, at)),
        same,
        `byte ${at}`,
      );
    const others = [
      situationOf((bytes) => bytes.writeUInt8(8, 1)),
      situationOf((bytes) => bytes.writeUInt8(4, 2)),
      situationOf((bytes) => bytes.writeUInt8(9, 3)),
      situationOf((bytes) => bytes.writeUInt32LE(0, 60)),
      situationOf((bytes) => bytes.writeUInt32LE(0, 68)),
      situationOf(() => {}, 0),
    ];
    assert.equal(new Set([same, ...others]).size, 7);
  });

  test("attributes that nobody asked for, such as a ULP's or MPTCP's, are passed over", () => {
    const { info } = only(
      encodeAttribute(0x8010, encodeAttribute(1, Buffer.from("mptcp\0"))),
      encodeAttribute(99, Buffer.alloc(5)),
      encodeAttribute(2, Buffer.of(8, 0, 4)),
    );
    assert.equal(info?.state, "CLOSE_WAIT");
    assert.equal(info.retransmits, 4);
    assert.equal(info.bytesAcked, null);
  });

  test("a short cgroup id is none", () => {
    assert.equal(only(encodeAttribute(21, Buffer.alloc(4))).cgroupId, null);
  });

  test("the FIN_WAIT2 timer of a socket that its program has closed is no keepalive", () => {
    const orphan = Buffer.from(socket);
    orphan[1] = 5;
    const held = dumpThrough(answering([orphan]), {}).sockets[0];
    assert.equal(held?.timer.kind, "keepalive");
    orphan.writeUInt32LE(0, 68);
    const closed = dumpThrough(answering([orphan]), {}).sockets[0];
    assert.equal(closed?.timer.kind, "time-wait");
  });

  test("a socket whose state changed to none that was asked for is left out", () => {
    const ended = Buffer.from(socket);
    ended[1] = 7;
    assert.deepEqual(dumpThrough(answering([ended]), { states: ["ESTABLISHED"] }).sockets, []);
    ended[1] = 0;
    assert.deepEqual(dumpThrough(answering([ended]), {}).sockets, []);
  });

  test("a socket in too few bytes is an error", () => {
    assert.throws(
      () => dumpThrough(answering([socket.subarray(0, 71)]), {}),
      (error) => error instanceof DeadpeerError && error.code === "netlink-protocol",
    );
  });

  test("a kernel without tcp_diag is named", () => {
    const error = Buffer.alloc(20);
    error.writeInt32LE(-2);
    const open = (): NetlinkChannel => ({
      port,
      send: () => {},
      receive: (into) => message(2, error).copy(into),
      [Symbol.dispose]: () => {},
    });
    assert.throws(
      () => dumpThrough(open, {}),
      (thrown) =>
        thrown instanceof DeadpeerError &&
        thrown.code === "feature-missing" &&
        /tcp_diag/.test(thrown.message),
    );
  });

  test("any bytes give sockets whose every field can be read, or netlink-protocol", () => {
    const payload = fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.concat([socket, bytes])),
      fc.uint8Array({ minLength: 72, maxLength: 160 }).map((bytes) => Uint8Array.from(bytes).fill(10, 0, 1)),
    );
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 3 }), (payloads) => {
        try {
          const { sockets } = dumpThrough(answering(payloads), { info: true });
          assert.ok(sockets.length <= payloads.length);
          JSON.stringify(sockets);
        } catch (error) {
          assert.ok(error instanceof DeadpeerError && error.code === "netlink-protocol", String(error));
          assert.ok(payloads.some(({ length }) => length < 72));
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

function describeFamily({ family, mapped }: DiagSocket): string {
  return mapped ? "mapped" : String(family);
}

/** Queries about addresses, ports and states that are there, and some that are not. */
function queries(samples: readonly DiagSocket[]): fc.Arbitrary<DiagQuery> {
  const endpoints = samples.flatMap(({ local, remote }) => [local, remote]);
  const port = fc.oneof(fc.constantFrom(...endpoints.map(({ port }) => port)), fc.constantFrom(0, 1, 65_535));
  const host = fc.constantFrom(
    ...new Set(endpoints.map(({ address }) => address)),
    "10.9.8.7",
    "2001:db8::7",
  );
  const address = fc
    .tuple(host, fc.option(fc.nat(128)))
    .map(([host, prefix]) =>
      prefix === null ? host : `${host}/${host.includes(":") ? prefix : prefix % 33}`,
    );
  const endpoint = fc.record({ address, port }, { requiredKeys: [] });
  const state = fc.constantFrom<TcpState>(...samples.map(({ state }) => state), "NEW_SYN_RECV", "CLOSE");
  return fc.record(
    {
      states: fc.array(state, { maxLength: 6 }),
      families: fc.constantFrom<(4 | 6)[]>([4], [6], [4, 6]),
      local: endpoint,
      remote: endpoint,
      port,
      info: fc.boolean(),
    },
    { requiredKeys: [] },
  );
}

/** What a query means, by the socket's printed addresses and Node's own idea of networks. */
function isWanted(socket: DiagSocket, query: DiagQuery): boolean {
  const { states, families, port } = query;
  // A half-open connection is shown as SYN_RECV; to ask for it by its inner name is the same.
  const wantedStates: TcpState[] | undefined = states?.map((state) =>
    state === "NEW_SYN_RECV" ? "SYN_RECV" : state,
  );
  if (wantedStates !== undefined && !wantedStates.includes(socket.state)) return false;
  if (families !== undefined && !families.includes(socket.family)) return false;
  if (port !== undefined && socket.local.port !== port && socket.remote.port !== port) return false;
  return (["local", "remote"] as const).every((side) => {
    const wanted = query[side];
    if (wanted?.port !== undefined && wanted.port !== socket[side].port) return false;
    if (wanted?.address === undefined) return true;
    const [host = "", prefix] = wanted.address.split("/");
    const family = host.includes(":") ? 6 : 4;
    if (family !== socket.family) return false;
    const network = new BlockList();
    network.addSubnet(
      host,
      prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix),
      `ipv${family}`,
    );
    return network.check(socket[side].address, `ipv${family}`);
  });
}

interface Comparable {
  readonly state: string;
  readonly receiveQueue: number;
  readonly sendQueue: number;
  readonly local: string;
  readonly remote: string;
  readonly device: string | null;
  readonly uid: number;
  readonly inode: number;
  readonly timer: string;
  readonly retransmits: number;
  readonly expiresMs: number;
}

const ssStates: Readonly<Record<string, string>> = {
  ESTAB: "ESTABLISHED",
  "FIN-WAIT-1": "FIN_WAIT1",
  "FIN-WAIT-2": "FIN_WAIT2",
};
const ssTimers: Readonly<Record<string, string>> = {
  on: "retransmit",
  timewait: "time-wait",
  persist: "zero-window",
};

function listWithSs(namespace: string): Map<bigint, Comparable> {
  const sockets = new Map<bigint, Comparable>();
  for (const line of run("nsenter", [`--net=/run/netns/${namespace}`, "ss", "-tanoeH"])
    .trim()
    .split("\n")) {
    const [state = "", receiveQueue, sendQueue, local = "", remote = ""] = line.split(/\s+/);
    const [, kind = "", time = "", retransmits] = /timer:\((\w+),(\w+(?:\.\w+)?),(\d+)\)/.exec(line) ?? [];
    const cookie = BigInt(`0x${/ sk:(\w+)/.exec(line)?.[1] ?? ""}`);
    const { address, device } = fromSs(local);
    sockets.set(cookie, {
      state: ssStates[state] ?? state.replaceAll("-", "_"),
      receiveQueue: Number(receiveQueue),
      sendQueue: Number(sendQueue),
      local: address,
      remote: fromSs(remote).address,
      device,
      uid: Number(/ uid:(\d+)/.exec(line)?.[1] ?? 0),
      inode: Number(/ ino:(\d+)/.exec(line)?.[1] ?? 0),
      timer: kind === "" ? "none" : (ssTimers[kind] ?? kind),
      retransmits: Number(retransmits ?? 0),
      expiresMs: fromSsTime(time),
    });
  }
  return sockets;
}

/** `[fe80::1]%eth0:80`, `*:80` and `0.0.0.0:*` in one form; mapped addresses as IPv4. */
function fromSs(text: string): { address: string; device: string | null } {
  const [, host = "", device = null, port = ""] = /^(.*?)(?:%(.*))?:(\d+|\*)$/.exec(text) ?? [];
  const address = host === "*" ? "::" : host.replace(/^\[(.*)\]$/, "$1").replace("::ffff:", "");
  return { address: `${address} ${port === "*" ? 0 : port}`, device };
}

/** `9min59sec`, `12sec`, `5.123ms` (which is 5.123 s), `200ms`. */
function fromSsTime(text: string): number {
  const [, minutes, seconds, ms] = /^(?:(\d+)min)?(?:(\d+)(?:sec|\.))?(?:(\d+)ms)?$/.exec(text) ?? [];
  return Number(minutes ?? 0) * 60_000 + Number(seconds ?? 0) * 1_000 + Number(ms ?? 0);
}

function comparable(socket: DiagSocket, namespace: string): Comparable {
  const { state, local, remote, mapped, interfaceIndex, uid, inode, timer } = socket;
  // ss shows a listener's missing peer as the IPv6 socket that it is.
  const remoteAddress = mapped && remote.address === "0.0.0.0" ? "::" : remote.address;
  return {
    state,
    receiveQueue: socket.receiveQueue,
    sendQueue: socket.sendQueue,
    local: `${local.address} ${local.port}`,
    remote: `${remoteAddress} ${remote.port}`,
    device: interfaceIndex === 0 ? null : deviceName(namespace, interfaceIndex),
    uid,
    inode,
    timer: timer.kind,
    retransmits: timer.retransmits,
    expiresMs: timer.expiresMs,
  };
}

function deviceName(namespace: string, index: number): string | null {
  const links = JSON.parse(run("ip", ["-json", "-n", namespace, "link"])) as {
    ifindex: number;
    ifname: string;
  }[];
  return links.find(({ ifindex }) => ifindex === index)?.ifname ?? null;
}
