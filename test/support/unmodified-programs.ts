import { type ChildProcess, execFile } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer as createHttpServer, request } from "node:http";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { checkout } from "./checkout.js";
import type { Family, Host } from "../../src/lab/index.js";

/** One long connection between a program on the near host and a peer on the far one that says nothing of its own accord. */
export interface Held {
  /** What it is for, where a program has several of one kind. */
  readonly what: string;
  readonly family: Family;
  /** Tells it from all others. */
  readonly farPort: number;
  /** How often the program sends something; null: never. */
  readonly sendsEveryMs: number | null;
}

/** Where programs are started, and what they talk to. Whoever makes it ends what it started. */
export interface Stage {
  readonly near: Host;
  readonly far: Host;
  /** Where the built programs are, and room for each program's files. */
  readonly folder: string;
  /** Starts the program that is looked at on the near host, in the way that is looked at. */
  readonly start: (command: readonly string[]) => ChildProcess;
  /** Starts another program on the far host. */
  readonly startFar: (command: readonly string[]) => ChildProcess;
  /** A port that no connection or server of the stage has used. */
  readonly port: () => number;
  /** Has a server listen on the far host. */
  readonly serve: (server: Server) => number;
  /** Run at the end. */
  readonly after: (undo: () => void) => void;
}

/** A real program, as it comes, that holds connections. */
export interface UnmodifiedProgram {
  readonly name: string;
  /** What must be installed. */
  readonly needs: readonly string[];
  /** The command that builds it in the current folder. */
  readonly build?: readonly string[];
  /** Starts it and gives what it holds, or is about to. */
  readonly hold: (stage: Stage) => Promise<Held[]> | Held[];
}

const sources = `${checkout}test/repair/programs`;
const families: readonly Family[] = [4, 6];
const sendingMs = 100;

/** Builds what must be built, once for all stages. Needs no network. */
export async function buildPrograms(programs: readonly UnmodifiedProgram[], folder: string): Promise<void> {
  const env = {
    ...process.env,
    GOCACHE: join(folder, "go-cache"),
    GOFLAGS: "-mod=mod",
    GOPROXY: "off",
    // Without C there is no dynamic linking either: nothing can be preloaded.
    CGO_ENABLED: "0",
  };
  await Promise.all(
    programs.map(async ({ build: [command, ...args] = [] }) => {
      if (command !== undefined) await promisify(execFile)(command, args, { cwd: folder, env });
    }),
  );
}

/** A server that takes everything and says nothing. */
function quietPeer({ serve }: Stage): number {
  return serve(createServer((socket) => void socket.resume()));
}

/** A program of test/repair/programs, which opens what its arguments say: idle and sending, over both families. */
function holder(
  program: Omit<UnmodifiedProgram, "hold">,
  command: (folder: string) => readonly string[],
): UnmodifiedProgram {
  return {
    ...program,
    hold(stage) {
      const held = families.flatMap((family) => [
        { what: "idle", family, farPort: quietPeer(stage), sendsEveryMs: null },
        { what: "sending", family, farPort: quietPeer(stage), sendsEveryMs: sendingMs },
      ]);
      stage.start([
        ...command(stage.folder),
        ...held.flatMap(({ what, family, farPort }) => [what, stage.far.address(family), String(farPort)]),
      ]);
      return held;
    },
  };
}

/** It sends what is typed: one for each connection. */
const nc: UnmodifiedProgram = {
  name: "nc",
  needs: ["nc"],
  hold(stage) {
    return families.flatMap((family) =>
      ["idle", "sending"].map((what) => {
        const farPort = quietPeer(stage);
        const { stdin } = stage.start(["nc", stage.far.address(family), String(farPort)]);
        if (what === "idle") return { what, family, farPort, sendsEveryMs: null };
        const typing = setInterval(() => stdin?.write("."), sendingMs);
        stage.after(() => clearInterval(typing));
        return { what, family, farPort, sendsEveryMs: sendingMs };
      }),
    );
  },
};

/** A server with two idle clients, and the replica of a real one: an outgoing connection on which it reports every second. */
const redis: UnmodifiedProgram = {
  name: "redis-server",
  needs: ["redis-server", "nc"],
  async hold(stage) {
    const masterPort = stage.port();
    const common = ["redis-server", "--save", "", "--protected-mode", "no", "--dir", stage.folder];
    const master = stage.startFar([
      ...common,
      "--port",
      String(masterPort),
      "--repl-diskless-sync-delay",
      "0",
    ]);
    await saying(master, "Ready to accept connections");
    const port = stage.port();
    const replica = stage.start([
      ...common,
      "--port",
      String(port),
      "--replicaof",
      stage.far.address(4),
      String(masterPort),
    ]);
    await saying(replica, "sync: Finished with success");
    const clients = families.map((family) => {
      const farPort = stage.port();
      stage.startFar(["nc", "-p", String(farPort), stage.near.address(family), String(port)]);
      return { what: "a client's, idle", family, farPort, sendsEveryMs: null };
    });
    // REPLCONF ACK: replicationCron, once a second.
    return [...clients, { what: "to its master", family: 4, farPort: masterPort, sendsEveryMs: 1_000 }];
  },
};

/** What nginx does with an upstream, each with a server of its own. */
const upstreams = [
  { path: "kept", what: "to an upstream, kept for reuse", sendsEveryMs: null },
  { path: "waiting", what: "to an upstream that does not answer", sendsEveryMs: null },
  { path: "upload", what: "to an upstream, passing on an upload", sendsEveryMs: sendingMs },
] as const;

const nginx: UnmodifiedProgram = {
  name: "nginx",
  needs: ["nginx"],
  async hold(stage) {
    const held = upstreams.flatMap(({ path, what, sendsEveryMs }) =>
      families.map((family) => {
        const farPort = stage.serve(upstreamServer());
        return { path, location: `${path}${family}`, what, family, farPort, sendsEveryMs };
      }),
    );
    const port = stage.port();
    const prefix = join(stage.folder, `nginx-${port}`);
    const file = `${prefix}.conf`;
    await writeFile(file, nginxConfiguration(stage, prefix, port, held));
    const master = stage.start(["nginx", "-e", "stderr", "-c", file]);
    await saying(master, "start worker process");
    await Promise.all(
      held.map(async ({ path, location }) => {
        const asking = request({
          host: "127.0.0.1",
          port,
          path: `/${location}/${path}`,
          method: "POST",
          agent: false,
        });
        // Its end is the cut's, or the stage's.
        asking.on("error", () => {});
        stage.after(() => asking.destroy());
        if (path === "upload") {
          const sending = setInterval(() => asking.write("."), sendingMs);
          stage.after(() => clearInterval(sending));
          return;
        }
        asking.end();
        // Only after its end the connection goes back to those that are kept.
        if (path === "kept") await once((await once(asking, "response"))[0].resume(), "end");
      }),
    );
    return held;
  },
};

/** Answers what asks for /…/kept; takes all else, and is silent. */
function upstreamServer(): Server {
  const server = createHttpServer((question, answer) => {
    question.resume();
    if (question.url?.endsWith("/kept")) answer.end("kept");
  });
  // It never hangs up.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  return server;
}

function nginxConfiguration(
  { far }: Stage,
  prefix: string,
  port: number,
  held: readonly (Held & { readonly location: string })[],
): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const upstream = ({ location, family, farPort }: (typeof held)[number]): string => {
    const address = far.address(family);
    return `upstream ${location} { server ${family === 6 ? `[${address}]` : address}:${farPort}; keepalive 4; }`;
  };
  // "Connection" is cleared so that connections are kept (ngx_http_upstream_module, keepalive).
  const location = ({ location }: (typeof held)[number]): string =>
    `location /${location}/ {
      proxy_pass http://${location}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
    }`;
  return `daemon off; user root; worker_processes 1; pid ${prefix}.pid; error_log stderr notice;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${prefix}-${name};`).join("\n")}
  ${held.map(upstream).join("\n")}
  server { listen 127.0.0.1:${port}; ${held.map(location).join("\n")} }
}
`;
}

/** Resolves when a program has written this. */
async function saying(program: ChildProcess, text: string): Promise<void> {
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const hear = (part: Buffer): void => {
      said += part.toString();
      if (said.includes(text)) resolve();
    };
    program.stdout?.on("data", hear);
    program.stderr?.on("data", hear);
    program.once("error", reject);
    program.once("close", () => reject(new Error(`it ended without "${text}": ${said}`)));
  });
}

const python = holder({ name: "python3", needs: ["python3"] }, () => ["python3", `${sources}/hold.py`]);

const staticC = holder(
  {
    name: "a static C binary",
    needs: ["gcc"],
    build: ["gcc", "-Wall", "-Wextra", "-Werror", "-static", "-o", "hold-c", `${sources}/hold.c`],
  },
  (folder) => [`${folder}/hold-c`],
);

const go = holder(
  { name: "a Go binary", needs: ["go"], build: ["go", "build", "-o", "hold-go", `${sources}/hold.go`] },
  (folder) => [`${folder}/hold-go`],
);

const java = holder(
  { name: "java", needs: ["java", "javac"], build: ["javac", "-d", ".", `${sources}/Hold.java`] },
  // Small and quick to start: there are several of them.
  (folder) => ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx32m", "-cp", folder, "Hold"],
);

export const unmodifiedPrograms: readonly UnmodifiedProgram[] = [python, staticC, go, java, redis, nginx, nc];
