import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { Client, Pool, type PoolClient } from "pg";
import { baseFd, innerSocket } from "../../../src/guard/inner-socket.js";
import { overPg } from "../../../src/heartbeat/adapters/pg.js";
import { checkPgServer } from "../../../src/heartbeat/adapters/pg-server.js";
import { libcProblem } from "../../../src/kernel/libc.js";
import { readSettings } from "../../../src/kernel/socket-options.js";
import { planDetection } from "../../../src/plan/planner.js";
import { missingServers, startPostgres, stopPostgres } from "../../support/servers.js";
import { Here, segmentsIn, until, watch } from "./support.js";

describe("PostgreSQL", { skip: missingServers("postgresql"), timeout: 60_000 }, () => {
  let here: Here;
  let server: ChildProcess;
  const clients: Client[] = [];
  before(async () => {
    here = await Here.open();
    server = await startPostgres(here);
  });
  after(async () => {
    await Promise.allSettled(clients.map((client) => client.end()));
    if (server !== undefined) await stopPostgres(server);
    await here?.[Symbol.asyncDispose]();
  });

  const login = (): object => ({ host: "::1", port: here.port, user: "tester", database: "postgres" });
  const connected = async (): Promise<Client> => {
    const client = new Client(login());
    client.on("error", () => {});
    clients.push(client);
    await client.connect();
    return client;
  };

  test("an idle connection is asked, and queries that come at the same moment have their own answers", async () => {
    const client = await connected();
    const { clock, seen } = watch(overPg(client));
    for (let round = 0; round < 100; round++) {
      clock.advanceSync(20_000);
      // Behind the probe, before it is answered.
      const { rows } = await client.query("SELECT $1::int AS round", [round]);
      assert.deepEqual(rows, [{ round }]);
    }
    assert.equal(seen.filter((what) => what === "answer").length, 100);
    assert.equal(seen.length, 200);
  });

  test("in a query, in a transaction and in a failed one the kernel is asked, and the connection's settings are put back", {
    skip: libcProblem() !== null,
  }, async () => {
    const states: readonly ((client: Client) => Promise<unknown>)[] = [
      async (client) => void client.query("SELECT pg_sleep(30)").catch(() => {}),
      (client) => client.query("BEGIN"),
      async (client) => {
        await client.query("BEGIN");
        await assert.rejects(client.query("SELECT 1/0"));
      },
    ];
    for (const enter of states) {
      const client = await connected();
      const socket = innerSocket(client);
      const { clock, seen, beats } = watch(overPg(client));
      await enter(client);
      const held = readSettings(baseFd(socket));
      const segments = segmentsIn(socket);
      clock.advanceSync(20_000);
      await until("the kernel's acknowledgement", () => segmentsIn(socket) > segments);
      clock.advanceSync(5_000);
      assert.deepEqual(seen, ["beat"]);
      assert.equal(beats.state, "alive");
      assert.deepEqual(readSettings(baseFd(socket)), held);
      beats.close();
      socket.destroy();
    }
  });

  test("what a transaction may sleep is still the server's to say", async () => {
    const client = await connected();
    await client.query("SET idle_in_transaction_session_timeout = '1s'");
    await client.query("BEGIN");
    const began = Date.now();
    const { clock, seen, beats } = watch(overPg(client));
    const ended = new Promise<number>((resolve) => client.once("end", () => resolve(Date.now() - began)));
    await until("most of the time has passed", () => Date.now() - began >= 800);
    clock.advanceSync(20_000);
    assert.deepEqual(seen, ["beat"]);
    const tookMs = await ended;
    // A question to the program would have given it a second more.
    assert.ok(tookMs >= 900 && tookMs < 1_700, `${tookMs} ms`);
    assert.equal(beats.verdict, null);
  });

  test("a pool: each connection is watched, a server process that hangs is found, and the pool goes on", async () => {
    const pool = new Pool({ ...login(), max: 1, idleTimeoutMillis: 0 });
    const lost = once(pool, "remove");
    pool.on("error", () => {});
    const watched: ReturnType<typeof watch>[] = [];
    pool.on("connect", (client: PoolClient) => watched.push(watch(overPg(client))));
    const { rows } = await pool.query("SELECT pg_backend_pid() AS pid");
    const { pid } = rows[0] as { pid: number };
    const [first] = watched;
    assert.ok(first);
    process.kill(pid, "SIGSTOP");
    try {
      first.clock.advanceSync(35_000);
      assert.deepEqual(first.seen, ["beat", "suspect", "beat", "beat", "verdict", "end"]);
      assert.equal(first.beats.verdict?.state, "unresponsive");
      await lost;
      assert.deepEqual((await pool.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
      assert.equal(watched.length, 2);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await pool.end();
  });

  test("the server's own settings are compared with a plan, and its advice is right", async () => {
    const plan = planDetection({ detectWithin: "35s" });
    const client = await connected();
    const found = await checkPgServer(client, plan);
    assert.deepEqual(
      found.map(({ code }) => code),
      ["slow-idle", "slow-sending", "no-connection-check"],
    );
    for (const { settings } of found)
      for (const setting of settings) await client.query(`ALTER SYSTEM SET ${setting}`);
    await client.query("SELECT pg_reload_conf()");
    let left = found;
    // It is reloaded by a signal, a moment later, for connections that are there already, too.
    for (let round = 0; round < 100 && left.length > 0; round++) {
      const fresh = await connected();
      left = await checkPgServer(fresh, plan);
      await fresh.end();
    }
    assert.deepEqual(left, []);
  });
});
