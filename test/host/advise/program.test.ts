import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { knownPrograms } from "../../../src/host/advise/known-programs.js";
import { identifyProgram } from "../../../src/host/advise/program.js";
import { residenceOf } from "../../../src/host/residence.js";
import { scriptOf } from "../../../src/host/advise/script.js";
import { snippetFor } from "../../../src/plan/snippets/index.js";
import { shellWord } from "../../../src/host/shell-word.js";

function identify(
  path: string | null,
  words: readonly string[],
  name = "",
  language: "go" | "rust" | null = null,
): ReturnType<typeof identifyProgram> {
  const elf = {
    linking: "dynamic",
    interpreter: "/lib64/ld-linux-x86-64.so.2",
    libc: "glibc",
    language,
  } as const;
  return identifyProgram({
    executable: path === null ? null : { path },
    arguments: words,
    name,
    elf: path === null ? null : elf,
  });
}

describe("identifyProgram", () => {
  for (const [path, words, name, target] of [
    ["/usr/sbin/nginx", ["nginx: worker process"], "nginx", "nginx"],
    // Debian's is a link to another program of Redis.
    ["/usr/bin/redis-check-rdb", ["redis-server *:6379"], "redis-server", "redis"],
    ["/usr/lib/postgresql/15/bin/postgres", ["postgres: checkpointer "], "postgres", "postgres"],
    ["/usr/sbin/sshd", ["sshd: root@pts/0"], "sshd", "sshd"],
    [null, ["haproxy", "-Ws"], "haproxy", "haproxy"],
    [
      "/usr/bin/python3.11",
      ["/usr/bin/python3", "/srv/app/main.py", "--port", "80"],
      "python3.11 (main.py)",
      "python",
    ],
    ["/usr/bin/node", ["node", "-r", "ts-node/register", "server.ts"], "node (server.ts)", "node"],
    [
      "/usr/lib/jvm/java-17/bin/java",
      ["java", "-Xmx1g", "-cp", "lib/*", "kafka.Kafka"],
      "java (kafka.Kafka)",
      "java",
    ],
    ["/usr/lib/erlang/erts-13/bin/beam.smp", ["beam.smp", "--", "-rabbit", "x"], "beam.smp", null],
    ["/usr/sbin/mosquitto", ["mosquitto"], "mosquitto", null],
    ["/usr/bin/nc.openbsd", ["nc", "host", "80"], "nc.openbsd", "c"],
    [null, ["something"], "something", null],
  ] as const)
    test(`${path ?? "unseen"} ${words.join(" ")}`, () => {
      const found = identify(path, words, "comm");
      assert.equal(found.name, name);
      assert.equal(found.target, target);
    });

  test("a binary of which only the language is known", () => {
    assert.equal(identify("/srv/gateway", ["./gateway"], "gateway", "go").target, "go");
    assert.equal(identify("/srv/gateway", ["./gateway"], "gateway", "rust").target, "rust");
    assert.equal(identify("/srv/gateway", ["./gateway"], "gateway", "go").known, null);
  });

  test("RabbitMQ is told from other programs of Erlang's", () => {
    assert.equal(identify("/usr/bin/beam.smp", ["beam.smp", "-rabbit"]).known?.id, "rabbitmq");
    assert.equal(identify("/usr/bin/beam.smp", ["beam.smp", "-s", "ejabberd"]).known?.id, "erlang");
  });

  test("every target of the table is one of plan's", () => {
    for (const { target } of knownPrograms)
      if (target !== null)
        assert.equal(snippetFor(target, { keepalive: null, userTimeoutMs: 0 }).target, target);
  });
});

describe("scriptOf", () => {
  for (const [runtime, line, script] of [
    ["java", "java -Dx=1 -jar app.jar --spring.x=1", "app.jar"],
    ["java", "java --module-path mods -m com.example/com.example.Main", "com.example/com.example.Main"],
    ["python", "python3 -u -X dev -m gunicorn app:app", "gunicorn"],
    ["python", "python3 -c print(1)", null],
    ["node", "node --max-old-space-size=100 --import ./x.js app.js", "app.js"],
    ["node", "node -e 1", null],
    ["ruby", "ruby -I lib bin/puma", "bin/puma"],
    ["php", "php -S 0.0.0.0:80", "0.0.0.0:80"],
    ["dotnet", "dotnet app.dll", "app.dll"],
    ["node", "node", null],
  ] as const)
    test(line, () => assert.equal(scriptOf(runtime, line.split(" ")), script));
});

describe("residenceOf", () => {
  const id = "ab".repeat(32);
  for (const [path, expected] of [
    ["/", {}],
    ["/system.slice/nginx.service", { service: "nginx.service" }],
    [
      "/system.slice/system-postgresql.slice/postgresql@15-main.service",
      { service: "postgresql@15-main.service" },
    ],
    ["/user.slice/user-1000.slice/session-3.scope", { session: "session-3.scope" }],
    ["/user.slice/user-1000.slice/user@1000.service/app.slice/app.service", { userService: "app.service" }],
    ["/user.slice/user-1000.slice/user@1000.service/init.scope", {}],
    [`/system.slice/docker-${id}.scope`, { container: { engine: "docker", id } }],
    [`/docker/${id}`, { container: { engine: "docker", id } }],
    [`/machine.slice/libpod-${id}.scope/container`, { container: { engine: "podman", id } }],
    [
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-${id}.scope`,
      { container: { engine: "containerd", id } },
    ],
    [`/kubepods.slice/kubepods-pod1.slice/crio-${id}.scope`, { container: { engine: "cri-o", id } }],
    [`/kubepods/burstable/pod1/${id}`, { container: { engine: "kubernetes", id } }],
    [
      "/lxc.payload.web/system.slice/nginx.service",
      { container: { engine: "lxc", id: "web" }, service: "nginx.service" },
    ],
    ["/lxc/web", { container: { engine: "lxc", id: "web" } }],
    [`/nobody/${id}`, {}],
  ] as const)
    test(path, () =>
      assert.deepEqual(residenceOf([path]), {
        service: null,
        userService: null,
        session: null,
        container: null,
        ...expected,
      }),
    );

  test("a tree of version 1 tells where the unified one does not", () => {
    assert.deepEqual(residenceOf(["/", `/docker/${id}`]).container, { engine: "docker", id });
  });
});

test("shellWord", () => {
  assert.equal(shellWord("/usr/bin/python3"), "/usr/bin/python3");
  assert.equal(shellWord("two words"), "'two words'");
  assert.equal(shellWord("it's"), `'it'\\''s'`);
  assert.equal(shellWord(String.raw`a\x2db.service`), String.raw`'a\x2db.service'`);
  assert.equal(shellWord(""), "''");
});
