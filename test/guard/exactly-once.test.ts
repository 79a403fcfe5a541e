import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { type Guard, guard } from "../../src/guard/guard.js";
import type { Settings } from "../../src/plan/settings.js";

const settings: Settings = {
  keepalive: { idleMs: 20_000, intervalMs: 5_000, count: 3 },
  userTimeoutMs: 35_000,
};

/** What either side may do to a connection; each is harmless on one that has already ended. */
const deeds = {
  write: (socket) => socket.write("something"),
  writeMuch: (socket) => socket.write(Buffer.alloc(1 << 20)),
  end: (socket) => socket.end(),
  destroy: (socket) => socket.destroy(),
  destroyWithError: (socket) => socket.destroy(new Error("ours")),
  // Not after end(): libuv refuses to reset what is shutting down, and Node then never closes the handle.
  reset: (socket) => socket.writableEnded || socket.resetAndDestroy(),
  destroySoon: (socket) => socket.destroySoon(),
  pause: (socket) => socket.pause(),
  resume: (socket) => socket.resume(),
  guardAgain: (socket) => socket.destroyed || guard(socket, settings),
} satisfies Record<string, (socket: Socket) => unknown>;

type Step = { readonly side: 0 | 1; readonly deed: keyof typeof deeds } | "turn";

const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ side: fc.constantFrom(0, 1), deed: fc.constantFrom(...names()) }) },
    { weight: 1, arbitrary: fc.constant("turn" as const) },
  ),
  { maxLength: 12 },
);

function names(): (keyof typeof deeds)[] {
  return Object.keys(deeds) as (keyof typeof deeds)[];
}

describe("whatever both sides do", () => {
  test("each guard gives exactly one verdict, and the sockets keep no listener of it", async () => {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), fc.boolean(), async (sequence, allowHalfOpen, early) => {
        const near = connect({ port, host: "127.0.0.1", allowHalfOpen });
        const endListeners = near.listenerCount("end");
        const guards: Guard[] = [];
        const verdicts: number[] = [0, 0];
        const watch = (socket: Socket, side: 0 | 1): void => {
          const guarded = guard(socket, settings);
          guarded.on("verdict", () => {
            verdicts[side] = (verdicts[side] ?? 0) + 1;
          });
          guards.push(guarded);
        };
        // A guard from before the connection is one more way to begin.
        if (early) watch(near, 0);
        const [[far]] = (await Promise.all([once(server, "connection"), once(near, "connect")])) as [
          [Socket],
          unknown,
        ];
        const sockets = [near, far] as const;
        const closed = sockets.map((socket) => new Promise((resolve) => socket.on("close", resolve)));
        for (const socket of sockets) socket.on("error", () => {});
        if (!early) watch(near, 0);
        watch(far, 1);
        for (const step of sequence as Step[])
          if (step === "turn") await new Promise((resolve) => setImmediate(resolve));
          else deeds[step.deed](sockets[step.side]);
        for (const socket of sockets) socket.destroy();
        await Promise.all(closed);

        assert.deepEqual(verdicts, [1, 1]);
        assert.equal(near.listenerCount("end"), endListeners);
        for (const socket of sockets) assert.equal(Object.hasOwn(socket, "_destroy"), false);
        for (const guarded of guards) {
          assert.ok(guarded.verdict !== null);
          assert.ok(["closed", "reset", "local"].includes(guarded.verdict.state), guarded.verdict.sentence);
        }
      }),
      { numRuns: 300 },
    );
    server.close();
  });
});
