import { newOwnedName } from "../../src/kernel/owned-names.js";
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { describe, test } from "node:test";
import type { DiagIdentity } from "../../src/kernel/diag-socket.js";
import { type NetworkNamespace, namespaceAt } from "../../src/kernel/namespaces.js";
import { encodeRequest } from "../../src/kernel/netlink.js";
import { dumpSockets, type DiagQuery, type SocketRecord } from "../../src/kernel/sock-diag.js";
import { nobody, SocketDestroyer } from "../../src/kernel/sock-destroy.js";
import { type Program, startProgram } from "../support/programs.js";
import { Population } from "./population.js";
import { type Connection, loopbackConnection, needsRoot, runModule } from "./support.js";

function identities(query: DiagQuery, namespace?: string): DiagIdentity[] {
  const table = dumpSockets(query, namespace === undefined ? undefined : namespaceAt(namespace));
  return Array.from(table.passing(), ({ identity }: SocketRecord) => identity);
}

/** A network namespace with one Python program in it that holds sockets. */
class Place implements AsyncDisposable {
  readonly namespace: NetworkNamespace;
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
    this.namespace = namespaceAt(`/proc/${program.process.pid}/ns/net`);
  }

  static async with(python: string): Promise<Place> {
    const text = `import os, socket, time
os.system("ip link set lo up")
keep = []
${python}
print("ready", flush=True)
time.sleep(600)`;
    const program = startProgram(["unshare", "--net", "python3", "-c", text]);
    await program.says("ready");
    return new Place(program);
  }

  records(query: DiagQuery): SocketRecord[] {
    return [...dumpSockets(query, this.namespace)] as SocketRecord[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.kill();
  }
}

/** The accepted end of a connection. */
function acceptedEnd({ accepted }: Connection): DiagIdentity {
  const { port } = accepted.address() as AddressInfo;
  const remote = { port: accepted.remotePort as number };
  const [identity] = identities({ local: { port }, remote, states: ["ESTABLISHED"] });
  assert.ok(identity);
  return identity;
}

async function errorOf(socket: Socket): Promise<string | undefined> {
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  return error.code;
}

/** A kernel that gives these error numbers, one a request. */
function saying(...errnos: readonly number[]): SocketDestroyer {
  const queue = [...errnos];
  let asked: Buffer | null = null;
  return new SocketDestroyer({
    port: 7,
    send: (message) => (asked = Buffer.from(message)),
    receive: (into) => {
      const errno = queue.shift();
      if (errno === undefined || asked === null) return null;
      const payload = Buffer.alloc(20);
      payload.writeInt32LE(-errno);
      const answer = encodeRequest(2, 0, asked.readUInt32LE(8), payload);
      answer.copy(into);
      return answer.length;
    },
    [Symbol.dispose]: () => {},
  });
}

describe("connections ended in the kernel", { skip: needsRoot }, () => {
  for (const host of ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    test(`the owner is told that it was aborted, the peer that it was reset, over ${host}`, async () => {
      await using connection = await loopbackConnection(host);
      const told = Promise.all([errorOf(connection.accepted), errorOf(connection.client)]);
      using destroyer = SocketDestroyer.open();
      const identity = acceptedEnd(connection);
      assert.equal(destroyer.end(identity), true);
      assert.deepEqual(await told, ["ECONNABORTED", "ECONNRESET"]);
      assert.equal(destroyer.end(identity), false, "it has gone");
    });

  test("a connection with the same ends and another cookie is left alone", async () => {
    await using connection = await loopbackConnection();
    const { family, id, listening } = acceptedEnd(connection);
    const other = Buffer.from(id);
    other[40] = (other[40] as number) ^ 1;
    using destroyer = SocketDestroyer.open();
    assert.equal(destroyer.end({ family, id: other, listening }), false);
    connection.accepted.write("still there");
    assert.equal(String((await once(connection.client, "data"))[0]), "still there");
  });

  test("every socket can be ended, in every state, and nothing stays", async () => {
    const name = `${newOwnedName("lab")}-destroy`;
    const population = await Population.start(name);
    try {
      const before = identities({}, name);
      const states = new Set(
        Array.from(dumpSockets({}, namespaceAt(name)).passing(), ({ state }: SocketRecord) => state),
      );
      assert.equal(states.size, 10, [...states].join());
      using destroyer = SocketDestroyer.open(namespaceAt(name));
      // Listeners last: what waits for accept goes with them.
      const order = before.toSorted((a, b) => Number(a.listening) - Number(b.listening));
      const ended = order.filter((identity) => destroyer.end(identity));
      // Peers within the namespace get their RST before their turn comes.
      assert.ok(ended.length > before.length / 3, `${ended.length} of ${before.length}`);
      assert.deepEqual(identities({}, name), []);
    } finally {
      await population.end();
    }
  });

  test("each of the listeners that share a port can be ended", async () => {
    await using place = await Place.with(`
for _ in range(16):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", 7000))
    one.listen()
    keep.append(one)`);
    using destroyer = SocketDestroyer.open(place.namespace);
    const ended = place.records({}).filter(({ identity }) => destroyer.end(identity));
    assert.equal(ended.length, 16);
    assert.equal(place.records({}).length, 0);
  });

  test("what runs on top of a connection is told, and an MPTCP listener is refused", async () => {
    await using place = await Place.with(`
for port, protocol in ((7000, 262), (7001, 6)):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    client.connect(("127.0.0.1", port))
    keep += [listener, client]`);
    const on = (port: number, states: DiagQuery["states"]): SocketRecord[] =>
      place.records({ info: true, local: { port }, ...(states === undefined ? {} : { states }) });
    assert.deepEqual(
      [7000, 7001].map((port) => on(port, ["ESTABLISHED"]).map(({ upperProtocol }) => upperProtocol)),
      [["mptcp"], [null]],
    );
    using destroyer = SocketDestroyer.open(place.namespace);
    const [listener] = on(7000, ["LISTEN"]);
    assert.throws(() => destroyer.end((listener as SocketRecord).identity), {
      code: "value-refused",
      errno: "EINVAL",
    });
  });

  test("a process without CAP_NET_ADMIN is told at once what it needs", () => {
    const { stdout, stderr } = runModule(
      `const { SocketDestroyer } = await import(src + "kernel/sock-destroy.js");
       try { SocketDestroyer.open(); } catch (error) { console.log(error.code, error.errno, error.message); }`,
      ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"],
    );
    assert.match(stdout, /^permission-denied EPERM .*needs CAP_NET_ADMIN/, stderr);
  });
});

describe("what the kernel says to a request", () => {
  const refusals = [
    [1, "permission-denied", /CAP_NET_ADMIN/],
    [95, "feature-missing", /CONFIG_INET_DIAG_DESTROY/],
    [22, "value-refused", /refuses to end this socket: .*EINVAL/],
  ] as const;
  for (const [errno, code, message] of refusals)
    test(`errno ${errno} is ${code}`, () => {
      assert.throws(() => saying(errno).end(nobody), { code, message, operation: "SOCK_DESTROY" });
    });

  test("no answer is an error, not a success", () => {
    assert.throws(() => saying().end(nobody), { code: "netlink-protocol" });
  });

  test("a listener is looked for again under other ends, a connection is not", () => {
    assert.equal(saying(2, 2, 2, 0).end({ ...nobody, listening: true }), true);
    assert.equal(saying(2).end(nobody), false);
  });

  test("the request holds what the kernel showed", () => {
    let sent = Buffer.alloc(0);
    const destroyer = new SocketDestroyer({
      port: 7,
      send: (message) => (sent = Buffer.from(message)),
      receive: (into) => {
        encodeRequest(2, 0, 1, Buffer.alloc(20)).copy(into);
        return 36;
      },
      [Symbol.dispose]: () => {},
    });
    const id = Buffer.from(Array.from({ length: 48 }, (_, index) => index + 1));
    assert.equal(destroyer.end({ family: 10, id, listening: false }), true);
    assert.equal(sent.readUInt16LE(4), 21);
    assert.deepEqual([sent[16], sent[17]], [10, 6]);
    assert.deepEqual(sent.subarray(24), id);
  });
});
