import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assert as holds, integer, property } from "fast-check";
import { type Audit, audit } from "../../../src/http/chain/audit.js";
import { readHop } from "../../../src/http/chain/read-hop.js";

function chain(client: string, ...rest: readonly string[]): Audit {
  const hops = rest.map((given, index) =>
    readHop(given, index === rest.length - 1 ? "server" : "proxy", null),
  );
  return audit([readHop(client, "client", null), ...hops], 1_000);
}

function codes(audited: Audit): string[] {
  return audited.findings.map(({ code }) => code);
}

describe("two neighbours", () => {
  it("are good with the margin between them, tight with less, and race without", () => {
    assert.deepEqual(codes(chain("idle=4s", "keepalive=5s")), []);
    assert.deepEqual(codes(chain("idle=4.5s", "keepalive=5s")), ["margin-too-small"]);
    assert.deepEqual(codes(chain("idle=5s", "keepalive=5s")), ["idle-exceeds-keepalive"]);
    assert.deepEqual(codes(chain("idle=never", "keepalive=5s")), ["idle-never-ends"]);
    assert.deepEqual(codes(chain("idle=never", "keepalive=never")), []);
    assert.deepEqual(codes(chain("idle=1h", "keepalive=never")), []);
  });

  it("do not race where nothing is used again", () => {
    for (const one of [chain("idle=0", "keepalive=5s"), chain("idle=60s", "keepalive=0")]) {
      assert.deepEqual(codes(one), []);
      assert.equal(one.pairs[0]?.verdict, "no-reuse");
    }
  });

  it("are not judged where one is not known", () => {
    const one = chain("idle=5s", "keepalive=10s", "keepalive=60s");
    assert.deepEqual(codes(one), ["unknown-times"]);
    assert.match(one.findings[0]?.message ?? "", /give it, e\.g\. idle=60s/);
    assert.deepEqual(codes(chain("idle=5s", "idle=10s")), ["unknown-times"]);
  });

  it("may settle it by a hint", () => {
    assert.deepEqual(codes(chain('{"undici":{"keepAliveTimeout":60000}}', "keepalive=5s")), [
      "idle-exceeds-keepalive",
    ]);
    assert.deepEqual(codes(chain('{"undici":{"keepAliveTimeout":60000}}', "keepalive=5s,advertised=5s")), []);
    // Its own four seconds are forgotten for the hint, and undici's default margin is what saves it.
    assert.equal(chain('{"undici":{}}', "keepalive=70s,advertised=60s").pairs[0]?.idleMs, 58_000);
    assert.equal(
      chain('{"undici":{"keepAliveMaxTimeout":9000}}', "keepalive=70s,advertised=60s").pairs[0]?.idleMs,
      9_000,
    );
    // Node's agent takes nothing off, which is the race itself.
    const agent = '{"agent":{"keepAlive":true,"timeout":60000}}';
    assert.deepEqual(codes(chain(agent, "keepalive=5s,advertised=5s")), ["idle-exceeds-keepalive"]);
    assert.deepEqual(codes(chain(agent, "keepalive=6s,advertised=5s")), []);
  });

  it("are mended by what is proposed, each line by itself", () => {
    const time = integer({ min: 50, max: 10_000_000 });
    holds(
      property(time, time, (idleMs, keptMs) => {
        const { findings } = chain(`idle=${idleMs}ms`, `keepalive=${keptMs}ms`);
        for (const { line } of findings.flatMap(({ set }) => set)) {
          const ms = Number(/(\d+) ms/.exec(line)?.[1]);
          const mended = line.startsWith("end")
            ? chain(`idle=${ms}ms`, `keepalive=${keptMs}ms`)
            : chain(`idle=${idleMs}ms`, `keepalive=${ms}ms`);
          // Below two seconds there is no room for the margin.
          if (keptMs > 2_000 || !line.startsWith("end")) assert.deepEqual(codes(mended), [], line);
          else assert.ok(ms < keptMs);
        }
      }),
    );
  });
});

describe("a firewall between", () => {
  it("is held against the hop before it, and passed over for the one behind", () => {
    assert.deepEqual(codes(chain("idle=60s", "aws-nlb", "keepalive=65s")), []);
    const long = chain("idle=10m", "aws-nlb", "keepalive=20m");
    assert.deepEqual(codes(long), ["path-forgets-first"]);
    assert.deepEqual(long.findings[0]?.set, [
      { hop: "the client", line: "end idle connections after 345000 ms" },
    ]);
    assert.deepEqual(codes(chain("idle=60s", "aws-nlb", "keepalive=30s")), ["idle-exceeds-keepalive"]);
    assert.deepEqual(codes(chain("idle=never", "5m", "keepalive=never")), ["path-forgets-first"]);
  });
});
