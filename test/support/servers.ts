import { type ChildProcess, execFileSync, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onPath } from "./programs.js";

/** Where a real server is started: here, or on a host of the lab. */
export interface Place {
  readonly spawn: (command: string, args: readonly string[], options: SpawnOptions) => ChildProcess;
  /** For the server's files; whoever made it removes it, and ends the server. */
  readonly folder: string;
  /** On which it listens, over IPv4 and IPv6. */
  readonly port: number;
}

const rabbitMq = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const postgresHome = "/usr/lib/postgresql";
/** Why some of these cannot be started here; false: they can. */
export function missingServers(
  ...names: readonly ("mosquitto" | "redis-server" | "postgresql" | "rabbitmq-server")[]
): string | false {
  const installed = {
    mosquitto: () => onPath("mosquitto"),
    "redis-server": () => onPath("redis-server"),
    postgresql: () => existsSync(postgresHome),
    "rabbitmq-server": () => existsSync(rabbitMq),
  };
  const lacks = names.filter((name) => !installed[name]());
  return lacks.length === 0 ? false : `not installed: ${lacks.join(", ")}`;
}

/** @param more lines of its configuration, such as another listener. */
export function startMosquitto(place: Place, more = ""): Promise<ChildProcess> {
  const file = join(place.folder, "mosquitto.conf");
  writeFileSync(file, `listener ${place.port}\n${more}allow_anonymous true\nuser root\n`);
  return startServer(place, ["mosquitto", "-c", file], / running$/m);
}

export function startRedis(place: Place): Promise<ChildProcess> {
  const { folder, port } = place;
  const options = ["--save", "", "--protected-mode", "no", "--bind", "0.0.0.0", "::", "--dir", folder];
  const command = ["redis-server", "--port", String(port), ...options];
  return startServer(place, command, /Ready to accept connections/);
}

/** With a user `tester` whom it trusts. Ended by `stopPostgres`. */
export async function startPostgres(place: Place): Promise<ChildProcess> {
  const { folder, port, spawn } = place;
  const newest = readdirSync(postgresHome).sort((a, b) => Number(a) - Number(b));
  const programs = join(postgresHome, newest.at(-1) ?? "", "bin");
  const data = join(folder, "postgres");
  const owner = unprivileged();
  mkdirSync(data);
  for (const path of [folder, data]) if (owner.uid !== undefined) chownSync(path, owner.uid, owner.gid ?? 0);
  const options: SpawnOptions = { ...owner, cwd: data };
  const initdb = spawn(`${programs}/initdb`, ["-D", data, "-A", "trust", "-U", "tester", "--no-sync"], {
    ...options,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await once(initdb, "exit");
  writeFileSync(join(data, "pg_hba.conf"), "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n");
  const command = [`${programs}/postgres`, "-D", data, "-p", String(port), "-h", "*", "-k", "", "-F"];
  return startServer(place, command, /ready to accept connections/, options);
}

/** Its fast shutdown; SIGKILL would leave its children and shared memory behind. */
export async function stopPostgres(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, "exit");
  server.kill("SIGINT");
  await gone;
}

/** Brings helpers along that outlive it: only for a place that ends them. */
export function startRabbitMq(place: Place): Promise<ChildProcess> {
  const home = join(place.folder, "rabbitmq");
  mkdirSync(home);
  const settings = ["loopback_users = none", "log.console = true", "log.file = false"];
  writeFileSync(
    join(home, "rabbitmq.conf"),
    [`listeners.tcp.1 = :::${place.port}`, ...settings, ""].join("\n"),
  );
  const env = {
    ...process.env,
    HOME: home,
    RABBITMQ_NODENAME: "deadpeer@localhost",
    RABBITMQ_MNESIA_BASE: join(home, "mnesia"),
    RABBITMQ_LOG_BASE: join(home, "log"),
    RABBITMQ_CONFIG_FILE: join(home, "rabbitmq"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(home, "plugins"),
  };
  return startServer(place, [rabbitMq], /Server startup complete/, { env });
}

/** Starts a program, and waits until it says that it is ready. */
export function startServer(
  { spawn }: Pick<Place, "spawn">,
  command: readonly string[],
  ready: RegExp,
  options: SpawnOptions = {},
): Promise<ChildProcess> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  return new Promise((resolve, reject) => {
    const hear = (text: Buffer): void => {
      said += text.toString();
      if (ready.test(said)) resolve(child);
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${command.join(" ")} ended:\n${said}`)));
  });
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { readonly uid?: number; readonly gid?: number } {
  if (process.getuid?.() !== 0) return {};
  return { uid: idOfNobody("-u"), gid: idOfNobody("-g") };
}

function idOfNobody(which: "-u" | "-g"): number {
  return Number(execFileSync("id", [which, "nobody"]).toString());
}
