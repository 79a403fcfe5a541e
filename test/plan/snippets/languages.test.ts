import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import net from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { snippetFor } from "../../../src/plan/snippets/index.js";
import { type Case, cases, type Expected } from "./cases.js";
import { listening, type Program, run, start, temporaryFolder, without } from "./programs.js";
import { optionsOf, socketsOf, withoutSight } from "./sockets.js";

/** Slow machines compile slowly; this is no measure. */
const timeout = 180_000;

/**
 * Starts a program with two ports, of 127.0.0.1 and ::1. It connects to each once a case, applies the case's snippet, writes
 * the case's index and waits for us to hang up. What it holds meanwhile is read from outside.
 */
async function proves(
  t: TestContext,
  expect: (wanted: Case) => Expected,
  launch: (ports: [string, string]) => Program | Promise<Program>,
): Promise<void> {
  const hellos: { clientPort: number; serverPort: number; index: number }[] = [];
  const hello = new EventEmitter();
  const serve = async (host: string): Promise<string> => {
    const server = net.createServer((socket) => {
      t.after(() => socket.destroy());
      socket.on("error", () => undefined);
      socket.once("data", (data) => {
        const { remotePort: clientPort = 0, localPort: serverPort = 0 } = socket;
        hellos.push({ clientPort, serverPort, index: Number(data.toString()) });
        if (hellos.length === cases.length * 2) hello.emit("all");
      });
    });
    t.after(() => server.close());
    return String(await listening(server, 0, host));
  };
  const ports: [string, string] = [await serve("127.0.0.1"), await serve("::1")];
  const all = once(hello, "all");
  const program = await launch(ports);
  const ended = once(program.child, "exit").then(() => {
    throw new Error(`the program ended early:\n${program.output()}`);
  });
  await Promise.race([all, ended]);
  ended.catch(() => undefined);
  const seen = await socketsOf(program.pid);

  for (const { clientPort, serverPort, index } of hellos) {
    const socket = seen.find((one) => one.localPort === clientPort && one.remotePort === serverPort);
    const wanted = at(index);
    assert.ok(socket, `${wanted.name}: the socket is gone`);
    assert.deepEqual(
      optionsOf(socket),
      expect(wanted),
      `${wanted.name}, to ${serverPort === Number(ports[0]) ? "127.0.0.1" : "::1"}`,
    );
  }
}

const full = (wanted: Case): Expected => wanted.full;
const alone = (wanted: Case): Expected => wanted.alone;

function at(index: number): Case {
  const found = cases[index];
  assert.ok(found, `case ${index}`);
  return found;
}

const texts = (target: string): string[] => cases.map(({ settings }) => snippetFor(target, settings).text);
const each = (write: (text: string, index: number) => string, target: string): string =>
  texts(target).map(write).join("\n");

describe("a snippet pasted into a program gives its sockets exactly the settings", {
  concurrency: true,
}, () => {
  test("python", { timeout, skip: withoutSight() }, async (t) => {
    const file = join(await temporaryFolder(t), "main.py");
    const body = each(
      (text, index) =>
        `def case${index}(sock):\n${text.replace(/^/gm, "    ")}\n    sock.send(b"${index}")\n    held.append(sock)`,
      "python",
    );
    await writeFile(
      file,
      `import socket, sys\nheld = []\n${body}
for host, port in (("127.0.0.1", sys.argv[1]), ("::1", sys.argv[2])):
    for case in (${cases.map((_, index) => `case${index}`).join(", ")}): case(socket.create_connection((host, int(port))))
held[0].recv(1)
`,
    );
    await proves(t, full, (ports) => start(t, "python3", [file, ...ports]));
  });

  test("c", { timeout, skip: without("gcc") || withoutSight() }, async (t) => {
    const folder = await temporaryFolder(t);
    const body = each((text, index) => text.replaceAll("notice_dead_peer", `notice_dead_peer_${index}`), "c");
    await writeFile(
      join(folder, "main.c"),
      `#include <arpa/inet.h>\n#include <stdlib.h>\n#include <unistd.h>\n${body}
static int (*const cases[])(int) = {${cases.map((_, index) => `notice_dead_peer_${index}`).join(", ")}};
static int dial(int family, const char *port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(port)), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(family, SOCK_STREAM, 0);
  int failed = family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4) : connect(fd, (struct sockaddr *)&v6, sizeof v6);
  return failed ? -1 : fd;
}
int main(int argc, char **argv) {
  int fd = -1;
  for (int family = 0; family < 2; family++)
    for (int i = 0; i < ${cases.length}; i++) {
      fd = dial(family ? AF_INET6 : AF_INET, argv[argc - 2 + family]);
      char digit = '0' + i;
      if (fd < 0 || cases[i](fd) != 0 || write(fd, &digit, 1) != 1) return 1;
    }
  char end;
  return read(fd, &end, 1) != 0;
}
`,
    );
    const binary = join(folder, "main");
    await run("gcc", ["-Wall", "-Wextra", "-Werror", "-o", binary, join(folder, "main.c")]);
    await proves(t, full, (ports) => start(t, binary, ports));
  });

  test("go", { timeout, skip: without("go") || withoutSight() }, async (t) => {
    const folder = await temporaryFolder(t);
    for (const [index, text] of texts("go").entries()) {
      await mkdir(join(folder, `case${index}`));
      await writeFile(
        join(folder, `case${index}`, "case.go"),
        `package case${index}\n\n${text}\n\nvar Dialer, Listener = &dialer, &listener\n`,
      );
    }
    await writeFile(join(folder, "go.mod"), "module snippets\n\ngo 1.18\n");
    await writeFile(
      join(folder, "main.go"),
      `package main
import (
  "context"
  "net"
  "os"
${cases.map((_, index) => `  "snippets/case${index}"`).join("\n")}
)
func must(err error) { if err != nil { panic(err) } }
var held []net.Conn
func hold(dialer *net.Dialer, listener *net.ListenConfig, index string) {
  for i, host := range []string{"127.0.0.1", "::1"} {
    conn, err := dialer.Dial("tcp", net.JoinHostPort(host, os.Args[1+i]))
    must(err)
    // An accepted connection, to be found by its local port, the one listened on.
    accepting, err := listener.Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
    must(err)
    plain, err := net.Dial("tcp", accepting.Addr().String())
    must(err)
    accepted, err := accepting.Accept()
    must(err)
    must(accepting.Close())
    held = append(held, conn, plain, accepted)
    _, port, err := net.SplitHostPort(accepted.LocalAddr().String())
    must(err)
    os.Stdout.WriteString(index + " " + port + "\\n")
    _, err = conn.Write([]byte(index))
    must(err)
  }
}
func main() {
${cases.map((_, index) => `  hold(case${index}.Dialer, case${index}.Listener, "${index}")`).join("\n")}
  held[0].Read(make([]byte, 1))
}
`,
    );
    const binary = join(folder, "main");
    await run("go", ["build", "-o", binary, "."], {
      cwd: folder,
      env: { ...process.env, GOFLAGS: "-mod=mod", GOPROXY: "off", GOTOOLCHAIN: "local" },
    });
    let program: Program | undefined;
    await proves(t, full, (ports) => {
      program = start(t, binary, ports);
      return program;
    });

    assert.ok(program);
    const accepted = program.output().trim().split("\n");
    assert.equal(accepted.length, cases.length * 2);
    const seen = await socketsOf(program.pid);
    for (const line of accepted) {
      const [index, port] = line.split(" ").map(Number);
      const { name, full } = at(index ?? -1);
      const socket = seen.find((one) => one.localPort === port);
      assert.ok(socket, `${name}: the accepted socket is gone`);
      // Go never asked for it, so what it does not switch on stays off.
      assert.deepEqual(optionsOf(socket), full, `${name}, accepted`);
    }
  });

  test("java", { timeout, skip: without("java") || withoutSight() }, async (t) => {
    const file = join(await temporaryFolder(t), "Main.java");
    const body = each(
      (text, index) => `static void case${index}(java.net.Socket socket) throws Exception {\n${text}\n}`,
      "java",
    );
    await writeFile(
      file,
      `public class Main {
interface Paste { void into(java.net.Socket socket) throws Exception; }
${body}
public static void main(String[] ports) throws Exception {
  Paste[] cases = {${cases.map((_, index) => `Main::case${index}`).join(", ")}};
  java.util.List<java.net.Socket> held = new java.util.ArrayList<>();
  String[] hosts = {"127.0.0.1", "::1"};
  for (int family = 0; family < 2; family++)
    for (int i = 0; i < cases.length; i++) {
      java.net.Socket socket = new java.net.Socket(hosts[family], Integer.parseInt(ports[family]));
      cases[i].into(socket);
      socket.getOutputStream().write('0' + i);
      held.add(socket);
    }
  held.get(0).getInputStream().read();
}
}
`,
    );
    await proves(t, alone, (ports) => start(t, "java", ["-XX:TieredStopAtLevel=1", file, ...ports]));
  });

  test("rust", { timeout, skip: withoutSocket2() }, async (t) => {
    const folder = await temporaryFolder(t);
    await mkdir(join(folder, "src"));
    await mkdir(join(folder, ".cargo"));
    await writeFile(
      join(folder, ".cargo", "config.toml"),
      `[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "${debianCrates}"\n`,
    );
    await writeFile(
      join(folder, "Cargo.toml"),
      '[package]\nname = "main"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nsocket2 = { version = "0.4", features = ["all"] }\n',
    );
    const body = each(
      (text, index) =>
        `fn case${index}(stream: TcpStream) -> std::io::Result<TcpStream> {\n${text}\nOk(stream)\n}`,
      "rust",
    );
    await writeFile(
      join(folder, "src", "main.rs"),
      `use std::io::{Read, Write};
use std::net::TcpStream;
${body}
fn main() -> std::io::Result<()> {
    let cases = [${cases.map((_, index) => `case${index} as fn(TcpStream) -> std::io::Result<TcpStream>`).join(", ")}];
    let ports: Vec<u16> = std::env::args().skip(1).map(|port| port.parse().unwrap()).collect();
    let mut held = Vec::new();
    for (host, port) in ["127.0.0.1", "::1"].iter().zip(ports) {
        for (index, case) in cases.iter().enumerate() {
            let mut stream = case(TcpStream::connect((*host, port))?)?;
            write!(stream, "{}", index)?;
            held.push(stream);
        }
    }
    held[0].read(&mut [0]).map(|_| ())
}
`,
    );
    await run("cargo", ["build", "--offline", "--quiet"], { cwd: folder });
    await proves(t, full, (ports) => start(t, join(folder, "target", "debug", "main"), ports));
  });

  test("node with guard", { timeout, skip: withoutSight() }, async (t) => {
    // Compiled beside this test: the package itself, without an installation.
    const library = new URL("../../../src/index.js", import.meta.url).href;
    await proves(t, full, async (ports) =>
      startNode(
        t,
        texts("node").map((text) => text.replace('from "deadpeer"', `from ${JSON.stringify(library)}`)),
        ports,
      ),
    );
  });

  test("node alone", { timeout, skip: withoutSight() }, async (t) => {
    await proves(
      t,
      ({ alone: { keepalive, userTimeoutMs } }) =>
        keepalive === null || takesIntervalAndCount()
          ? { keepalive, userTimeoutMs }
          : { keepalive: [keepalive[0], 1, 10], userTimeoutMs },
      (ports) => startNode(t, nodeAlone(), ports),
    );
  });
});

/** The commented line that needs nothing but Node. */
const nodeAlone = (): string[] =>
  texts("node").map((text) => text.match(/Node 26\.4 and later: (socket\..*)$/m)?.[1] ?? "");

/** One module a case and address, because a snippet starts with an import. */
async function startNode(
  t: TestContext,
  pasted: readonly string[],
  ports: readonly string[],
): Promise<Program> {
  const folder = await temporaryFolder(t);
  await writeFile(
    join(folder, "connected.mjs"),
    'import net from "node:net"; import { EventEmitter, once } from "node:events";\nexport async function connected(port, host) { const socket = net.connect(Number(port), host); await once(socket, "connect"); return socket; }\n',
  );
  const modules: string[] = [];
  for (const [index, text] of pasted.entries())
    for (const [family, host] of ["127.0.0.1", "::1"].entries()) {
      const name = `case${index}-${family}.mjs`;
      await writeFile(
        join(folder, name),
        `import { connected } from "./connected.mjs";\nconst socket = await connected(${ports[family]}, "${host}");\n${text}\nsocket.write("${index}");\nsocket.resume();\n`,
      );
      modules.push(`import "./${name}";`);
    }
  await writeFile(join(folder, "main.mjs"), modules.join("\n"));
  return start(t, process.execPath, [join(folder, "main.mjs")]);
}

/** Before 26.4 setKeepAlive ignores its last two arguments, as the snippet's note says. */
function takesIntervalAndCount(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 26 || (major === 26 && minor >= 4);
}

const debianCrates = "/usr/share/cargo/registry";

function withoutSocket2(): string | false {
  const missing = without("cargo") || withoutSight();
  if (missing !== false) return missing;
  return existsSync("/usr/share/doc/librust-socket2-dev") ? false : "not installed: librust-socket2-dev";
}
