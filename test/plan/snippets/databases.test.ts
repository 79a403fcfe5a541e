import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import type net from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { detectionTimes } from "../../../src/plan/model.js";
import { snippetFor } from "../../../src/plan/snippets/index.js";
import { type Case, cases } from "./cases.js";
import { connectTo, freePort, type Program, run, start, stop, temporaryFolder, without } from "./programs.js";
import { optionsOf, type SeenSocket, socketsOf, withoutSight } from "./sockets.js";

const timeout = 180_000;

/** The system's own times, which a program that leaves them alone gets. */
const systemTimes = (): number[] =>
  ["time", "intvl", "probes"].map((name) =>
    Number(readFileSync(`/proc/sys/net/ipv4/tcp_keepalive_${name}`, "utf8")),
  );

async function acceptedSocket(program: Program, client: net.Socket): Promise<SeenSocket> {
  const seen = await socketsOf(program.pid);
  const socket = seen.find((one) => one.remotePort === client.localPort);
  assert.ok(socket, `the accepted socket is gone:\n${program.output()}`);
  return socket;
}

test("redis-server takes the line, derives the rest as the note says, and keeps the budget", {
  timeout,
  skip: without("redis-server") || withoutSight(),
}, async (t) => {
  const small: Case["settings"] = {
    keepalive: { idleMs: 1_000, intervalMs: 1_000, count: 3 },
    userTimeoutMs: 0,
  };
  for (const { name, settings } of [...cases, { name: "the least", settings: small }]) {
    const folder = await temporaryFolder(t);
    const port = await freePort();
    const { text } = snippetFor("redis", settings);
    const file = join(folder, "redis.conf");
    await writeFile(file, `${text}\nbind 127.0.0.1\nport ${port}\nsave ""\ndir ${folder}\n`);
    const program = start(t, "redis-server", [file]);
    const client = await connectTo(t, program, port);
    client.write("CONFIG GET tcp-keepalive\r\n");
    const [reply] = (await once(client, "data")) as [Buffer];
    const value = Number(reply.toString().trim().split("\r\n").at(-1));
    assert.equal(`tcp-keepalive ${value}`, text.split("\n").at(-1), name);

    const { keepalive } = await acceptedSocket(program, client);
    const budgetMs = detectionTimes(settings).idleMs;
    if (keepalive === null) assert.equal(budgetMs, null, name);
    else {
      const [idleS, intervalS, count] = keepalive;
      assert.deepEqual(keepalive, [value, Math.max(1, Math.floor(value / 3)), 3], name);
      assert.ok(budgetMs !== null && (idleS + intervalS * count) * 1_000 <= budgetMs, name);
    }
    await stop(program.child);
  }
});

test("MariaDB takes the lines and gives its clients' sockets exactly the settings", {
  timeout,
  skip: without("mariadbd") || withoutSight(),
}, async (t) => {
  for (const { name, settings, alone } of cases) {
    const folder = await temporaryFolder(t);
    const file = join(folder, "my.cnf");
    const port = await freePort();
    await writeFile(file, `${snippetFor("mysql", settings).text}\n`);
    await mkdir(join(folder, "data"));
    const program = start(t, "mariadbd", [
      `--defaults-file=${file}`,
      `--datadir=${folder}/data`,
      `--socket=${folder}/socket`,
      `--pid-file=${folder}/pid`,
      `--port=${port}`,
      "--bind-address=127.0.0.1",
      "--skip-grant-tables",
      ...(process.getuid?.() === 0 ? ["--user=root"] : []),
    ]);
    const client = await connectTo(t, program, port);
    // Its greeting comes after it has set the options.
    await once(client, "data");
    assert.deepEqual(
      optionsOf(await acceptedSocket(program, client)),
      // Keepalive that cannot be switched off, with the system's times: the snippet says so.
      alone.keepalive === null ? { keepalive: systemTimes(), userTimeoutMs: 0 } : alone,
      name,
    );
    await stop(program.child);
  }
});

test("PostgreSQL and libpq take the lines and give sockets on both sides exactly the settings", {
  timeout,
  skip: postgresFolder() === null ? "not installed: postgresql" : without("psql") || withoutSight(),
}, async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, "data");
  const programs = postgresFolder() ?? "";
  const owner = unprivileged();
  await chmod(folder, 0o755);
  await mkdir(data);
  if (owner.uid !== undefined) await chown(data, owner.uid, owner.gid ?? 0);
  await run(`${programs}/initdb`, ["-D", data, "-A", "trust", "-U", "tester", "--no-sync"], {
    ...owner,
    cwd: data,
  });

  for (const one of cases) {
    const { name, full } = one;
    const { text } = snippetFor("postgres", one.settings);
    const port = await freePort();
    await writeFile(join(data, "postgresql.conf"), `${text}\n`);
    const server = start(
      t,
      `${programs}/postgres`,
      ["-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", "", "-F"],
      { ...owner, cwd: data },
    );
    (await connectTo(t, server, port)).destroy();
    const psql = start(t, "psql", [
      "--no-psqlrc",
      "--no-align",
      "--tuples-only",
      `host=127.0.0.1 port=${port} user=tester dbname=postgres ${text.split("\n").at(-1)?.replace("# ", "")}`,
    ]);
    const answer = await ask(psql, [
      "SELECT pg_backend_pid();",
      "SHOW tcp_keepalives_idle;",
      "SHOW tcp_keepalives_interval;",
      "SHOW tcp_keepalives_count;",
      "SELECT setting FROM pg_settings WHERE name = 'tcp_user_timeout';",
    ]);
    const [backend = 0, idleS, intervalS, count, userTimeoutMs] = answer.map(Number);
    // Keepalive that cannot be switched off, with the system's times: the snippet says so.
    const kept = full.keepalive ?? systemTimes();
    assert.deepEqual([idleS, intervalS, count], kept, name);
    assert.equal(userTimeoutMs, full.userTimeoutMs, name);

    const client = (await socketsOf(psql.pid)).find(({ remotePort }) => remotePort === port);
    assert.ok(client, `${name}: psql's socket is gone`);
    // libpq has no user timeout without keepalive: the snippet says so.
    const clients = full.keepalive === null ? { ...full, userTimeoutMs: 0 } : full;
    assert.deepEqual(optionsOf(client), clients, `${name}, libpq`);
    const accepted = (await socketsOf(backend)).find(({ localPort }) => localPort === port);
    assert.ok(accepted, `${name}: the backend's socket is gone`);
    assert.deepEqual(optionsOf(accepted), { ...full, keepalive: kept }, `${name}, server`);

    await stop(psql.child);
    await shutDown(server);
  }
});

/** Where Debian keeps the server's programs; null: nowhere. */
function postgresFolder(): string | null {
  const home = "/usr/lib/postgresql";
  const versions = existsSync(home) ? readdirSync(home) : [];
  const newest = versions.sort((a, b) => Number(a) - Number(b)).at(-1);
  return newest === undefined ? null : `/usr/lib/postgresql/${newest}/bin`;
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  return { uid: idOfNobody("-u"), gid: idOfNobody("-g") };
}

const idOfNobody = (flag: string): number => Number(execFileSync("id", [flag, "nobody"]).toString());

/** One line of answer for each statement, with the connection left open. */
async function ask(psql: Program, statements: readonly string[]): Promise<string[]> {
  psql.child.stdin?.write(`${statements.join("\n")}\n`);
  for (;;) {
    const answered = psql.output().trim().split("\n");
    if (answered.length >= statements.length && psql.output().endsWith("\n")) return answered;
    assert.equal(psql.child.exitCode, null, psql.output());
    if (psql.child.stdout !== null)
      await Promise.race([once(psql.child.stdout, "data"), once(psql.child, "exit")]);
  }
}

/** SIGINT is PostgreSQL's fast shutdown; SIGKILL would leave its children and shared memory behind. */
async function shutDown({ child }: Program): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGINT");
  await gone;
}
