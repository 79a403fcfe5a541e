import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folders = `${process.env["PATH"]}:/usr/local/sbin:/usr/sbin:/sbin`.split(":");
const env = { ...process.env, PATH: folders.join(":") };

/** Why some of these cannot be started here; false: they can. */
export function missingPrograms(...names: readonly string[]): string | false {
  const lacks = names.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  return lacks.length === 0 ? false : `not installed: ${lacks.join(", ")}`;
}

/** A real web server, listening on loopback over IPv4 and IPv6. */
export interface RealServer extends AsyncDisposable {
  readonly port: number;
}

/** A port that nobody has at this moment, on both loopback addresses. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "::");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Writes the configuration, starts the program with it, and waits until it accepts. */
async function start(
  configuration: (folder: string, port: number) => string,
  command: (folder: string, file: string) => readonly string[],
): Promise<RealServer> {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-web-"));
  const port = await freePort();
  mkdirSync(join(folder, "www"));
  writeFileSync(join(folder, "www", "index.html"), "hello\n");
  const file = join(folder, "server.conf");
  writeFileSync(file, configuration(folder, port));
  const [program = "", ...args] = command(folder, file);
  const child = spawn(program, args, { env, cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (text: Buffer) => (said += text.toString()));
  child.stderr.on("data", (text: Buffer) => (said += text.toString()));
  const gone = once(child, "exit");
  try {
    await accepting(port, child, () => said);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      const impatient = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await gone;
      clearTimeout(impatient);
      rmSync(folder, { recursive: true });
    },
  };
}

async function accepting(port: number, child: ChildProcess, said: () => string): Promise<void> {
  for (let tries = 0; tries < 2_000; tries++) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended: ${said()}`);
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 10));
    } finally {
      socket.destroy();
    }
  }
  throw new Error(`${child.spawnfile} accepts nothing: ${said()}`);
}

/** @param server more lines of its server block. */
export function startNginx(server: string): Promise<RealServer> {
  return start(
    (folder, port) => `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port}; listen [::1]:${port}; root ${folder}/www;
    ${server}
  }
}
`,
    (folder, file) => ["nginx", "-p", folder, "-c", file],
  );
}

/** @param keepAlive lines of the defaults section. */
export function startHaproxy(keepAlive: string): Promise<RealServer> {
  return start(
    (_, port) => `global
  log stderr format raw local0 emerg
defaults
  mode http
  timeout client 60s
  timeout connect 5s
  timeout server 60s
  ${keepAlive}
frontend web
  bind 127.0.0.1:${port}
  bind [::1]:${port}
  http-request return status 200 content-type text/plain string hello
`,
    (_, file) => ["haproxy", "-db", "-f", file],
  );
}

/** @param directives of the main server. */
export function startApache(directives: string): Promise<RealServer> {
  return start(
    (folder, port) => `ServerRoot ${folder}
ServerName localhost
Listen 127.0.0.1:${port}
Listen [::1]:${port}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
PidFile ${folder}/pid
ErrorLog ${folder}/error.log
Mutex file:${folder}
DocumentRoot ${folder}/www
DirectoryIndex index.html
User nobody
Group nogroup
StartServers 1
ThreadsPerChild 64
MaxRequestWorkers 64
${directives}
`,
    (_, file) => ["apache2", "-X", "-f", file],
  );
}

/** @param options lines of its configuration. */
export function startLighttpd(options: string): Promise<RealServer> {
  return start(
    (folder, port) => `server.document-root = "${folder}/www"
server.bind = "127.0.0.1"
server.port = ${port}
$SERVER["socket"] == "[::1]:${port}" { }
index-file.names = ( "index.html" )
${options}
`,
    (_, file) => ["lighttpd", "-D", "-f", file],
  );
}
