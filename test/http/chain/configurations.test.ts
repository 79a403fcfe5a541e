import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { type Audit, audit } from "../../../src/http/chain/audit.js";
import type { Role } from "../../../src/http/chain/hop.js";
import { readHop } from "../../../src/http/chain/read-hop.js";
import { checkout } from "../../support/checkout.js";
import { missingPrograms } from "../real-servers.js";

const folder = `${checkout}test/http/chain/configurations`;
const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };

/** As `http chain` reads it: roles by their place, files from the folder. */
function chain(given: readonly string[], only: string | null = null): Audit {
  const hops = given.map((one, index) => {
    const role: Role = index === 0 ? "client" : index === given.length - 1 ? "server" : "proxy";
    const path = /\.(conf|cfg|yaml)$/.test(one) ? `${folder}/${one}` : one;
    return readHop(path, role, role === "proxy" && path !== one ? only : null);
  });
  return audit(hops, 1_000);
}

function codes({ findings }: Audit): string[] {
  return findings.map(({ code, hop }) => `${code}: ${hop}`);
}

describe("the configurations are ones that the programs take", () => {
  for (const kind of ["faulty", "good"])
    for (const file of readdirSync(`${folder}/${kind}`)) {
      const path = `${folder}/${kind}/${file}`;
      if (file.endsWith(".conf"))
        test(`nginx -t ${kind}/${file}`, { skip: missingPrograms("nginx") }, () => {
          const place = mkdtempSync(join(tmpdir(), "deadpeer-nginx-"));
          const globals = `pid ${place}/pid; error_log stderr;`;
          const { status, stderr } = spawnSync("nginx", ["-t", "-p", place, "-c", path, "-g", globals], {
            env,
          });
          rmSync(place, { recursive: true });
          assert.equal(status, 0, stderr.toString());
        });
      if (file.endsWith(".cfg"))
        test(`haproxy -c ${kind}/${file}`, { skip: missingPrograms("haproxy") }, () => {
          const { status, stderr } = spawnSync("haproxy", ["-c", "-f", path], { env });
          assert.equal(status, 0, stderr.toString());
        });
    }
});

describe("planted faults are found", () => {
  test("nginx keeps connections for a minute to a Node server that keeps them for five seconds", () => {
    const found = chain(["idle=4s", "faulty/node-default.conf", '{"headersTimeout":60000}']);
    assert.deepEqual(codes(found), ["idle-exceeds-keepalive: nginx (node-default.conf)"]);
    assert.deepEqual(found.pairs.at(-1)?.idleMs, 60_000);
    assert.deepEqual(found.pairs.at(-1)?.keepAliveMs, 5_000);
    assert.deepEqual(found.findings[0]?.set, [
      { hop: "Node", line: "server.keepAliveTimeout = 65000; server.headersTimeout = 66000;" },
      { hop: "nginx (node-default.conf)", line: "upstream application { keepalive_timeout 4s; }" },
    ]);
    assert.match(
      found.findings[0]?.message ?? "",
      /keepalive_timeout of upstream application, default, node-default\.conf:13/,
    );
  });

  test("one site behind the load balancer has a shorter time than it", () => {
    const found = chain(["aws-alb", "faulty/behind-alb.conf"]);
    assert.deepEqual(codes(found), ["idle-exceeds-keepalive: AWS Application Load Balancer"]);
    assert.match(found.findings[0]?.message ?? "", /keepalive_timeout, admin\.conf:4/);
    assert.deepEqual(found.findings[0]?.set, [
      { hop: "nginx (behind-alb.conf)", line: "keepalive_timeout 65s;" },
    ]);
  });

  test("haproxy has inherited four seconds; and keeps connections for too long itself", () => {
    const found = chain(["aws-alb", "faulty/haproxy.cfg", "keepalive=75s"]);
    assert.deepEqual(codes(found), [
      "idle-exceeds-keepalive: AWS Application Load Balancer",
      "idle-exceeds-keepalive: haproxy (haproxy.cfg)",
    ]);
    assert.match(found.findings[0]?.message ?? "", /timeout http-keep-alive, haproxy\.cfg:14/);
    assert.deepEqual(found.findings[0]?.set[0]?.line, "timeout http-keep-alive 65s and timeout client 65s");
    assert.match(found.findings[1]?.message ?? "", /pool-purge-delay 30s.*haproxy\.cfg:24/);
    // Of the other backend, as it comes, nothing is wrong.
    const other = chain(["idle=2s", "faulty/haproxy.cfg", "keepalive=75s"], "static");
    assert.deepEqual(codes(other), []);
  });

  test("nginx is told to keep connections and does not, and tells clients more than it does", () => {
    const found = chain(["idle=10s", "faulty/no-effect.conf", "keepalive=65s"]);
    assert.deepEqual(codes(found), [
      "advertises-more-than-it-keeps: nginx (no-effect.conf)",
      "keepalive-not-in-effect: nginx (no-effect.conf)",
    ]);
    assert.deepEqual(found.findings[1]?.set[0]?.line, 'proxy_set_header Connection "";');
    assert.match(found.findings[1]?.message ?? "", /no-effect\.conf:13 says "Connection: close"/);
    assert.equal(found.pairs[1]?.verdict, "no-reuse");
  });

  test("an Envoy's cluster without a time keeps connections for an hour", () => {
    const found = chain(["idle=60s", "faulty/envoy.yaml", "good/behind-alb.conf"]);
    assert.deepEqual(codes(found), ["idle-exceeds-keepalive: Envoy (envoy.yaml)"]);
    assert.deepEqual(found.pairs.at(-1)?.idleMs, 3_600_000);
    assert.match(found.findings[0]?.set[1]?.line ?? "", /^cluster app: .*idle_timeout: 70s/);
  });
});

describe("good chains pass", () => {
  for (const [what, given, only] of [
    [
      "a load balancer, nginx, Node",
      ["aws-alb", "good/behind-alb.conf", '{"keepAliveTimeout":65000,"headersTimeout":66000}'],
      null,
    ],
    [
      "undici, haproxy, nginx",
      ['{"undici":{"keepAliveTimeout":4000}}', "good/haproxy.cfg", "good/behind-alb.conf"],
      null,
    ],
    ["a haproxy that closes", ["idle=50s", "good/haproxy-closes.cfg", "keepalive=5s"], null],
    ["an Envoy with two clusters", ["aws-alb", "good/envoy.yaml", "good/behind-alb.conf"], null],
    ["nginx in several files", ["idle=60s", "good/includes.conf", '{"keepAliveTimeout":5000}'], null],
    ["one of its upstreams", ["idle=60s", "good/includes.conf", "keepalive=5s"], "api"],
  ] as const)
    test(what, () => {
      const found = chain(given, only);
      assert.deepEqual(found.findings, []);
      for (const { verdict, because } of found.pairs)
        assert.ok(["good", "no-reuse"].includes(verdict), because);
    });
});
