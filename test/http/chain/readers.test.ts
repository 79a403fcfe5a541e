import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { assert as holds, constantFrom, array, property, string } from "fast-check";
import { DeadpeerError } from "../../../src/errors.js";
import type { Hop } from "../../../src/http/chain/hop.js";
import { haproxyHop } from "../../../src/http/chain/haproxy/hop.js";
import { haproxyTime, parseHaproxy } from "../../../src/http/chain/haproxy/sections.js";
import { nginxTime, parseNginx } from "../../../src/http/chain/nginx/directives.js";
import { nginxHop } from "../../../src/http/chain/nginx/hop.js";
import { readHop } from "../../../src/http/chain/read-hop.js";

function nginx(text: string, only: string | null = null): Hop {
  return nginxHop(
    parseNginx(text, "a.conf", () => []),
    "proxy",
    "a.conf",
    only,
  );
}

function haproxy(text: string, only: string | null = null): Hop {
  return haproxyHop(parseHaproxy(text, "a.cfg"), "proxy", "a.cfg", only);
}

/** A file that includes itself. */
function again(): { file: string; text: string }[] {
  return [{ file: "f", text: "include f;" }];
}

function kept(text: string): number | null | undefined {
  return haproxy(text).keeping?.keepAlive.ms;
}

/** Whether these lines of each section have connections to servers closed. */
function closes(defaults: string, front: string, back: string): boolean {
  const text = `defaults\n mode http\n${defaults}frontend f\n${front}backend b\n${back} server s 10.0.0.1:80\n`;
  return haproxy(text).sending?.noReuse !== null;
}

/** The usual one for WebSockets, but for what it says of other requests. */
function upgradeMap(other: string): string {
  return `map $http_upgrade $c { default upgrade; '' ${other}; }`;
}

function backend(more: string): string {
  return `defaults\n mode http\n timeout http-keep-alive 8s\nfrontend f\nbackend b\n${more} server s 10.0.0.1:80\n`;
}

function server(settings: string): Hop {
  return readHop(settings, "server", null);
}

function client(settings: string): Hop["sending"] {
  return readHop(settings, "client", null).sending;
}

function nameOf(path: string): string {
  return readHop(path, "proxy", null).name;
}

const refusal = (message: RegExp) => (error: unknown) =>
  error instanceof DeadpeerError && error.code === "bad-configuration" && message.test(error.message);

describe("nginx's language", () => {
  test("quotes, escapes, comments, variables, marks", () => {
    const text = `a "x ; { # }" 'it''s' b\\;c $\{d}e; # comment }\nblock one { inner 'q\\'q'; nested { } } last #x\n;`;
    const [first, block, last] = parseNginx(text, "f", () => []);
    assert.deepEqual(first?.args, ["x ; { # }", "it", "s", "b\\;c", "$\u007bd}e"]);
    assert.deepEqual(block?.args, ["one"]);
    assert.deepEqual(
      block?.block?.map(({ name, args, place }) => [name, args, place]),
      [
        ["inner", ["q'q"], "f:2"],
        ["nested", [], "f:2"],
      ],
    );
    assert.equal(last?.place, "f:2");
  });

  for (const [text, message] of [
    ["http {\n server {\n }\n", /^f:1: the block that begins here has no end/],
    ["a;\n}", /^f:2: unexpected "}"/],
    ["a b", /^f:1: "a" has no end/],
    ["a\nb }", /^f:2: unexpected "}" after "a"/],
    ["\n{ }", /^f:2: unexpected "{"/],
    ['x "abc;', /^f:1: a quote that begins here has no end/],
  ] as const)
    test(`refused: ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseNginx(text, "f", () => []), refusal(message));
    });

  test("includes of itself come to an end", () => {
    assert.throws(() => parseNginx("include f;", "f", again), refusal(/more than 20 deep/));
  });

  test("is read or refused, whatever it is", () => {
    const pieces = constantFrom("a", " ", ";", "{", "}", '"', "'", "\\", "#", "\n", "$", "include", "é");
    holds(
      property(array(pieces, { maxLength: 60 }), string(), (some, more) => {
        try {
          parseNginx(some.join("") + more, "f", () => []);
        } catch (error) {
          assert.ok(error instanceof DeadpeerError, String(error));
        }
      }),
    );
  });

  test("times", () => {
    for (const [text, ms] of [
      ["75", 75_000],
      ["75s", 75_000],
      ["1h30m", 5_400_000],
      ["1m 10s", 70_000],
      ["500ms", 500],
      ["0", 0],
      ["1d", 86_400_000],
    ] as const)
      assert.equal(nginxTime(text, "f:1"), ms, text);
    for (const text of ["", "x", "5x", "-1", "1.5s", "$t"])
      assert.throws(() => nginxTime(text, "f:1"), refusal(/^f:1: ".*" is not a time/));
    assert.throws(() => nginxTime("9".repeat(40), "f:1"), refusal(/^f:1: "9+" is too long$/));
  });

  test("what is no time is known to be none at once, however long it is", { timeout: 20_000 }, () => {
    assert.throws(() => nginxTime(`${"1".repeat(1_000)}x`, "f:1"), refusal(/^f:1: "1{60}" is not a time$/));
  });

  test("blocks within blocks come to an end", () => {
    assert.throws(() => nginx("server {".repeat(100_000)), refusal(/^a\.conf:1: blocks within blocks/));
  });
});

describe("nginx as a hop", () => {
  test("has its own times where nothing is said", () => {
    const hop = nginx("http { server { location / { proxy_pass http://10.0.0.1:3000; } } }");
    assert.deepEqual(hop.keeping?.keepAlive, { ms: 75_000, name: "keepalive_timeout", place: "default" });
    assert.match(hop.sending?.noReuse ?? "", /no keepalive in an upstream block/);
    assert.deepEqual(hop.faults, []);
  });

  test("inherits what is not said anew, and headers only as a whole", () => {
    const upstream = "upstream u { server 10.0.0.1; keepalive 4; }";
    const set = 'proxy_http_version 1.1; proxy_set_header Connection "";';
    const pass = "proxy_pass http://u;";
    const reuses = (text: string): boolean => nginx(`http { ${upstream} ${text} }`).sending?.noReuse === null;
    assert.ok(reuses(`${set} server { location / { ${pass} } }`));
    assert.ok(reuses(`server { ${set} location / { location /a { ${pass} } } }`));
    assert.ok(!reuses(`${set} server { location / { proxy_set_header X y; ${pass} } }`));
    assert.ok(!reuses(`proxy_http_version 1.1; server { location / { ${pass} } }`));
    assert.ok(!reuses(`proxy_set_header Connection ""; server { location / { ${pass} } }`));
    assert.ok(!reuses(`${set} server { location / { proxy_http_version 1.0; ${pass} } }`));
    assert.ok(!reuses(`${set} server { location / { proxy_set_header connection close; ${pass} } }`));
    // Of a request that asks for no upgrade.
    const mapped = "proxy_http_version 1.1; proxy_set_header Connection $c;";
    assert.ok(!reuses(`${upgradeMap("close")} server { ${mapped} location / { ${pass} } }`));
    assert.ok(reuses(`${upgradeMap("''")} server { ${mapped} location / { ${pass} } }`));
    assert.ok(reuses(`server { ${mapped} location / { ${pass} } }`));
    assert.ok(
      reuses(
        `server { proxy_http_version 1.1; proxy_set_header Connection upgrade; location / { ${pass} } }`,
      ),
    );
    // HTTP/2, which says none of that.
    assert.ok(reuses("server { location / { grpc_pass grpc://u; } }"));
  });

  test("counts its shortest time to clients, and its longest to upstreams", () => {
    const hop = nginx(`
      upstream a { server 10.0.0.1; keepalive 4; keepalive_timeout 10s; }
      upstream b { server 10.0.0.2; keepalive 4; keepalive_timeout 20s; }
      upstream unused { server 10.0.0.3; keepalive 4; keepalive_timeout 300s; }
      proxy_http_version 1.1; proxy_set_header Connection "";
      server { keepalive_timeout 30s 25s; location /a { proxy_pass http://a; } location /b { proxy_pass http://b:80/x; keepalive_timeout 40s; } }`);
    assert.equal(hop.keeping?.keepAlive.ms, 30_000);
    assert.equal(hop.keeping.advertisedMs, 25_000);
    assert.equal(hop.sending?.idle.ms, 20_000);
    assert.equal(hop.sending.set?.(1_500), "upstream b { keepalive_timeout 1500ms; }");
  });
});

describe("nginx as it was seen to be", () => {
  const upstream = "upstream Up { server 10.0.0.1; keepalive 4; keepalive_timeout 90s; }";
  const set = 'proxy_http_version 1.1; proxy_set_header Connection "";';
  const passing = (url: string): Hop =>
    nginx(`${upstream} server { ${set} set $b up; location / { proxy_pass ${url}; } }`);

  test("an upstream's name has no case, and a variable may be any", () => {
    for (const url of ["HTTP://uP/x", "http://$b", "http://${b}/x"])
      assert.equal(passing(url).sending?.idle.ms, 90_000, url);
    assert.deepEqual(passing("http://$b").upstreams, ["Up"]);
    const other = "upstream other { server 10.0.0.2; keepalive 4; keepalive_timeout 30s; }";
    const hop = nginx(`${upstream} ${other} server { location / { proxy_pass http://$b; } }`);
    // Nobody knows whether it is wrong.
    assert.deepEqual(hop.faults, []);
  });

  test("what is set to keep WebSockets' connections open is mended in its map", () => {
    const map = "map $http_upgrade $c { default upgrade; '' close; }";
    const hop = nginx(
      `${map} ${upstream} server { proxy_http_version 1.1; proxy_set_header Connection $c; location / { proxy_pass http://up; } }`,
    );
    assert.deepEqual(
      hop.faults.map((fault) => [fault.code, fault.set[0]?.line]),
      [["keepalive-not-in-effect", "map $http_upgrade $c { default upgrade; '' ''; }"]],
    );
  });

  test("a second time of 0 advertises nothing, and one request at most is none", () => {
    assert.equal(nginx("server { keepalive_timeout 75s 0; }").keeping?.advertisedMs, null);
    assert.match(nginx("server { keepalive_requests 1; }").keeping?.noKeepAlive ?? "", /keepalive_requests/);
    assert.match(nginx("server { keepalive_timeout 0; }").keeping?.noKeepAlive ?? "", /keepalive_timeout 0/);
  });

  test("refuses times that it refuses", () => {
    assert.throws(() => nginx("server { keepalive_timeout 1 2 3; }"), refusal(/^a\.conf:1: .*two times/));
    assert.throws(() => nginx("upstream u { keepalive_timeout 1m 30s; }"), refusal(/takes one time/));
  });

  test("says why it is not known what it does", () => {
    assert.match(nginx("server { root /x; }").unknown?.sending ?? "", /passes no request on/);
  });
});

describe("haproxy's language", () => {
  test("sections, quotes, comments, defaults by order and by name", () => {
    const sections = parseHaproxy(
      `# x\nglobal\n  log stdout # y\ndefaults one\n mode http\n timeout client "5s"\nfrontend f\n bind :1\ndefaults two from one\n timeout server 1\\0s\nbackend b from one\nbackend c\npeers p\n peer a\n`,
      "a.cfg",
    );
    assert.deepEqual(
      sections.map(({ kind, name, defaults }) => [kind, name, defaults?.name ?? null]),
      [
        ["global", "", null],
        ["defaults", "one", null],
        ["frontend", "f", "one"],
        ["defaults", "two", "one"],
        ["backend", "b", "one"],
        ["backend", "c", "two"],
        ["other", "p", "two"],
      ],
    );
    assert.deepEqual(sections[1]?.lines[1]?.words, ["timeout", "client", "5s"]);
    assert.deepEqual(sections[3]?.lines[0], { words: ["timeout", "server", "10s"], place: "a.cfg:10" });
    assert.deepEqual(sections[0]?.lines[0]?.words, ["log", "stdout"]);
  });

  test("refusals", () => {
    assert.throws(
      () => parseHaproxy("bind :1\n", "a.cfg"),
      refusal(/^a\.cfg:1: "bind" stands in no section/),
    );
    assert.throws(() => parseHaproxy("backend b from x\n", "a.cfg"), refusal(/no defaults section "x"/));
    assert.throws(() => parseHaproxy('global\n log "x\n', "a.cfg"), refusal(/^a\.cfg:2: a quote/));
    assert.throws(
      () => parseHaproxy("defaults\n.if defined(X)\n timeout client 1s\n.endif\n", "a.cfg"),
      refusal(/^a\.cfg:3: "timeout client" depends on a condition/),
    );
    assert.ok(parseHaproxy("global\n.if defined(X)\n nbthread 4\n.else\n.endif\n", "a.cfg"));
    assert.throws(() => haproxyTime("5 s", "a:1"), refusal(/not a time/));
    assert.throws(() => haproxyTime("$T", "a:1"), refusal(/depends on the environment/));
    assert.deepEqual(
      ["10", "10us", "1s", "2m", "0"].map((text) => haproxyTime(text, "a:1")),
      [10, 0.01, 1_000, 120_000, 0],
    );
  });

  test("is read or refused, whatever it is", () => {
    const pieces = constantFrom(
      "global",
      "defaults",
      "backend b",
      " from x",
      " ",
      "\n",
      '"',
      "'",
      "\\",
      "#",
      "é",
    );
    holds(
      property(array(pieces, { maxLength: 60 }), string(), (some, more) => {
        try {
          parseHaproxy(some.join("") + more, "f");
        } catch (error) {
          assert.ok(error instanceof DeadpeerError, String(error));
        }
      }),
    );
  });
});

describe("haproxy as a hop", () => {
  const front = "frontend f\n bind :1\n";
  test("waits for the next request by http-keep-alive, http-request or client", () => {
    const mode = "defaults\n mode http\n";
    assert.equal(kept(`${mode} timeout client 60s\n${front}`), 60_000);
    assert.equal(kept(`${mode} timeout client 60s\n timeout http-request 5s\n${front}`), 5_000);
    assert.equal(kept(`${mode} timeout http-request 5s\n timeout http-keep-alive 9s\n${front}`), 9_000);
    // Seen with 2.6: the client's own time counts below the others, and 0 is as if nothing was said.
    assert.equal(kept(`${mode} timeout client 6s\n timeout http-keep-alive 60s\n${front}`), 6_000);
    assert.equal(kept(`${mode} timeout http-request 2s\n timeout http-keep-alive 0\n${front}`), 2_000);
    assert.equal(
      haproxy(`${mode} timeout client 50s\n${front}`).keeping?.set?.(65_000),
      "timeout http-keep-alive 65s and timeout client 65s",
    );
    assert.equal(
      kept(`${mode} timeout client 5s\n${front} disabled\nfrontend g\n timeout client 9s\n`),
      9_000,
    );
    assert.equal(kept(`${mode}${front}`), null);
    assert.equal(kept(`${mode} timeout http-keep-alive 9s\n${front} timeout http-keep-alive 3s\n`), 3_000);
    assert.match(
      haproxy(`${mode} option httpclose\n${front}`).keeping?.noKeepAlive ?? "",
      /option httpclose/,
    );
    assert.equal(kept(`${mode} option httpclose\n${front} no option httpclose\n timeout client 7s\n`), 7_000);
  });

  test("keeps connections to servers in a pool that is emptied by halves", () => {
    const idle = (more: string): number | null | undefined => haproxy(backend(more)).sending?.idle.ms;
    assert.equal(idle(""), 50_000);
    assert.equal(idle(" default-server pool-purge-delay 1s pool-max-conn 1\n"), 3_000);
    assert.equal(idle(" default-server pool-max-conn 16\n"), 35_000);
    assert.equal(idle(" http-reuse never\n"), 8_000);
    assert.equal(idle(" default-server pool-purge-delay 0\n"), 8_000);
    assert.match(haproxy(backend(" option http-server-close\n")).sending?.noReuse ?? "", /http-server-close/);
    assert.deepEqual(
      haproxy(backend(" option http-server-close\n http-reuse always\n")).faults.map(({ code }) => code),
      ["keepalive-not-in-effect"],
    );
    assert.equal(haproxy(backend("")).sending?.set?.(20_000), "default-server pool-purge-delay 2s");
    assert.equal(idle(" default-server pool-max-conn 0\n"), 8_000);
  });

  test("closes connections to servers by the last option that says so, in the frontend or the backend", () => {
    const [server, close, keep] = ["http-server-close", "httpclose", "http-keep-alive"].map(
      (name) => ` option ${name}\n`,
    ) as [string, string, string];
    assert.ok(closes(server, "", ""));
    assert.ok(!closes("", "", ""));
    assert.ok(closes("", server, ""));
    assert.ok(closes("", "", close));
    assert.ok(!closes(server, keep, keep));
    assert.ok(closes(server, "", keep));
    assert.ok(!closes("", "", server + keep));
    assert.ok(!closes(server, keep, " no option http-server-close\n"));
    // It takes back another one.
    assert.ok(closes("", "", `${server} no option httpclose\n`));
  });

  test("in mode tcp only passes on", () => {
    const hop = haproxy(
      "defaults\n timeout client 30s\n timeout server 20s\nlisten l\n bind :1\n server s 10.0.0.1:80\n",
    );
    assert.equal(hop.forgetsMs, 20_000);
    assert.deepEqual([hop.sending, hop.keeping], [null, null]);
  });
});

describe("a hop may be given as", () => {
  let folder: string;
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "deadpeer-chain-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  test("figures", () => {
    const hop = readHop("idle=60s, keepalive=never,advertised=5s", "proxy", null);
    assert.equal(hop.sending?.idle.ms, 60_000);
    assert.equal(hop.keeping?.keepAlive.ms, null);
    assert.equal(hop.keeping.advertisedMs, 5_000);
    assert.match(readHop("idle=0", "client", null).sending?.noReuse ?? "", /idle=0/);
    for (const text of ["idle=60", "idl=60s", "idle=60s,idle=5s", "idle=60s,,"])
      assert.throws(() => readHop(text, "client", null), DeadpeerError, text);
  });

  test("a service, with an alias, or one that passes packets on", () => {
    assert.equal(readHop("alb", "proxy", null).sending?.idle.ms, 60_000);
    assert.equal(readHop("nlb", "proxy", null).forgetsMs, 350_000);
    assert.throws(() => readHop("aws-albb", "proxy", null), /did you mean aws-alb\?/);
  });

  test("Node's settings, with what is the default", () => {
    assert.equal(server('{"headersTimeout":1}').keeping?.keepAlive.ms, 5_000);
    assert.equal(server('{"keepAliveTimeout":"65s","headersTimeout":66000}').keeping?.keepAlive.ms, 65_000);
    assert.equal(
      server('{"keepAliveTimeout":5000,"keepAliveTimeoutBuffer":1000}').keeping?.keepAlive.ms,
      6_000,
    );
    assert.equal(server('{"keepAliveTimeout":0}').keeping?.keepAlive.ms, null);
    assert.deepEqual(
      server('{"keepAliveTimeout":65000}').faults.map(({ code }) => code),
      ["headers-timeout-below-keepalive"],
    );
    assert.equal(client('{"undici":{}}')?.idle.ms, 4_000);
    assert.match(client('{"undici":{"pipelining":0}}')?.noReuse ?? "", /pipelining/);
    assert.equal(client('{"agent":{"keepAlive":true}}')?.idle.ms, null);
    assert.match(client('{"agent":{}}')?.noReuse ?? "", /keepAlive is not set/);
    assert.equal(client('{"agent":{"freeSocketTimeout":4000}}')?.idle.ms, 4_000);
    assert.equal(client('{"headersTimeout":9000}')?.idle.ms, 5_000);
    assert.throws(
      () => server('{"keepAliveTimeout":"soon"}'),
      refusal(/keepAliveTimeout: .*"soon" is no duration/),
    );
    assert.throws(() => server('{"keepAliveTimeout":-1}'), refusal(/^\{.*keepAliveTimeout/));
    assert.throws(() => server('{"a":1}'), refusal(/^--server: is neither/));
    assert.throws(() => server("{a}"), refusal(/^--server: is no JSON/));
  });

  test("a file, whose kind its content tells", () => {
    assert.match(nameOf(file("a", "# x\nevents { }\nhttp { }\n")), /^nginx/);
    assert.match(nameOf(file("b", "\nglobal\n  daemon\ndefaults\n mode http\nfrontend f\n")), /^haproxy/);
    assert.match(nameOf(file("c.yml", "static_resources: {}\n")), /^Envoy/);
    assert.match(nameOf(file("d.json", '{"static_resources":{}}')), /^Envoy/);
    assert.match(nameOf(file("e.json", '{"keepAliveTimeout":5000}')), /^Node/);
    assert.match(nameOf(`nginx:${file("f", "global;")}`), /^nginx/);
  });

  test("Envoy's, with fields named in either way", () => {
    const manager =
      '"@type": envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
    const camel = `staticResources:
  listeners:
  - filterChains:
    - filters:
      - typedConfig:
          ${manager}
          commonHttpProtocolOptions: { idleTimeout: 30s }
          routeConfig: { virtualHosts: [{ routes: [{ route: { cluster: short } }, { route: { clusterHeader: x } }] }] }
  clusters:
  - name: short
    typedExtensionProtocolOptions:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { commonHttpProtocolOptions: { idleTimeout: 5s } }
  - name: someCluster
    typedExtensionProtocolOptions:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions: { commonHttpProtocolOptions: { idleTimeout: 50s } }
`;
    const hop = readHop(file("camel.yaml", camel), "proxy", null);
    assert.equal(hop.keeping?.keepAlive.ms, 30_000);
    // A header may name any.
    assert.equal(hop.sending?.idle.ms, 50_000);
    assert.deepEqual(hop.upstreams, ["short", "someCluster"]);
    const routed = readHop(
      file("routed.yaml", camel.replace(", { route: { clusterHeader: x } }", "")),
      "proxy",
      null,
    );
    assert.equal(routed.sending?.idle.ms, 5_000);
    assert.throws(
      () => readHop(file("compose.yaml", "services: { web: { image: x } }\n"), "proxy", null),
      refusal(/^compose\.yaml: is no configuration of Envoy's/),
    );
  });

  test("no configuration of another program", () => {
    for (const [name, text] of [
      ["lighttpd.conf", 'server.modules = ( "mod_access" )\nserver.port = 80\n$HTTP["host"] == "x" { }\n'],
      ["apache.conf", "KeepAliveTimeout 5\n<VirtualHost *:80>\n</VirtualHost>\n"],
      ["words.txt", "hello there\n"],
    ] as const)
      assert.throws(
        () => readHop(file(name, text), "proxy", null),
        refusal(/is none of the configurations that/),
      );
    assert.throws(() => readHop(process.execPath, "proxy", null), refusal(/has more than 4194304 bytes/));
    assert.throws(() => readHop(file("bin.conf", "http {\0}"), "proxy", null), refusal(/is no text$/));
    assert.throws(() => readHop("/dev/zero", "proxy", null), refusal(/^\/dev\/zero: has more than/));
    assert.throws(
      () => readHop("nosuch", "proxy", null),
      /^DeadpeerError: --proxy "nosuch": there is no such file, and no service of that name; did you mean/,
    );
  });

  test("a measurement", () => {
    const measurement = {
      url: "http://a.example/",
      persistent: true,
      advertised: { timeoutMs: 5_000, max: null },
      measured: { idleTimeoutMs: [3_000, 3_050], requestsPerConnection: null, closedBy: "fin" },
    };
    const hop = readHop(file("m.json", JSON.stringify(measurement)), "server", null);
    assert.equal(hop.keeping?.keepAlive.ms, 3_000);
    assert.deepEqual(
      hop.faults.map(({ code }) => code),
      ["advertises-more-than-it-keeps"],
    );
    const closing = {
      ...measurement,
      persistent: false,
      advertised: null,
      measured: { idleTimeoutMs: null },
    };
    assert.match(
      readHop(file("n.json", JSON.stringify(closing)), "server", null).keeping?.noKeepAlive ?? "",
      /not keep/,
    );
    assert.throws(
      () => readHop(file("o.json", '{"persistent":1,"measured":{}}'), "server", null),
      refusal(/^o\.json: is no measurement/),
    );
  });

  test("a file with a mark for its byte order", () => {
    const hop = readHop(file("bom.json", '\uFEFF{"keepAliveTimeout":65000}'), "server", null);
    assert.equal(hop.keeping?.keepAlive.ms, 65_000);
  });

  test("nothing endless", () => {
    const nested = file("nested.yaml", "static_resources: &s\n  self: *s\n  clusters: []\n");
    assert.throws(() => readHop(nested, "proxy", null), refusal(/^nested\.yaml\..*: nodes within nodes/));
    assert.throws(() => server('{"keepAliveTimeout":1e999}'), refusal(/is no duration/));
    assert.throws(
      () => haproxy(`defaults\n timeout client ${"9".repeat(400)}\nfrontend f\n`),
      refusal(/too long/),
    );
    const envoy = `clusters: [{name: a, common_http_protocol_options: {idle_timeout: ${"9".repeat(400)}s}}]`;
    assert.throws(() => readHop(file("e.yaml", envoy), "proxy", null), refusal(/too long/));
  });

  test("an empty file is none of them", () => {
    assert.throws(() => readHop(file("empty.conf", " \n"), "proxy", null), refusal(/empty\.conf: is empty$/));
  });

  test("files that cannot be read, or are something else", () => {
    assert.throws(
      () => readHop("/nowhere/nginx.conf", "proxy", null),
      refusal(/^\/nowhere\/nginx\.conf: cannot be read: there is no such file/),
    );
    assert.throws(() => readHop(folder, "proxy", null), refusal(/it is a folder|EISDIR/));
    assert.throws(
      () => readHop(file("bad.yaml", "a: [1\nb: 2\n"), "proxy", null),
      refusal(/^bad\.yaml:\d: /),
    );
    assert.throws(
      () =>
        readHop(
          file("late.yaml", "clusters: [{name: a, common_http_protocol_options: {idle_timeout: 5m}}]"),
          "proxy",
          null,
        ),
      refusal(/^late\.yaml: cluster a: idle_timeout "5m" is not a duration/),
    );
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from("bcdefghi")
      .map((name, at) => `${name}: &${name} [${`*${"abcdefgh"[at]},`.repeat(9)}]`)
      .join("\n")}\n`;
    assert.throws(() => readHop(file("bomb.yaml", bomb), "proxy", null), refusal(/^bomb\.yaml: /));
    mkdirSync(join(folder, "conf.d"));
    assert.throws(
      () => readHop(file("i.conf", "http {\n include conf.d/one.conf;\n}"), "proxy", null),
      refusal(/^i\.conf:2: .*one\.conf cannot be read/),
    );
    assert.ok(readHop(file("j.conf", "http {\n include conf.d/*.conf;\n}"), "proxy", null));
  });
});
