import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer } from "./servers.js";

/** A real nginx, gone with its files when disposed of. */
export interface Nginx extends AsyncDisposable {
  readonly port: number;
  /** New workers take over; the old ones end what they have and close what is idle. */
  reload(): void;
}

/**
 * Answers every request with "ok", and says in x-requests which one of its connection it was.
 *
 * @param keepAlive nginx's keepalive_timeout, e.g. `300ms`, or `300ms 5s` with a hint that says otherwise.
 */
export async function startNginx(keepAlive: string): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), "deadpeer-nginx-"));
  const port = await freePort();
  const file = join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr notice;
    events { worker_connections 8192; }
    http {
      access_log off; ${temporary.join(" ")}
      keepalive_timeout ${keepAlive}; keepalive_requests 1000000000; keepalive_time 1h; lingering_close off;
      server {
        listen 0.0.0.0:${port} backlog=8192; listen [::]:${port} backlog=8192;
        location / { add_header x-requests $connection_requests; return 200 "ok"; }
      }
    }`,
  );
  const child: ChildProcess = await startServer(
    { spawn: (command, args, options) => spawn(command, args, options) },
    ["nginx", "-c", file, "-p", folder, "-e", "stderr"],
    /start worker process /,
  );
  return {
    port,
    reload: () => void child.kill("SIGHUP"),
    async [Symbol.asyncDispose]() {
      const gone = once(child, "exit");
      child.kill("SIGTERM");
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
