import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { Socket } from "node:net";
import { describe, test } from "node:test";
import { constants } from "node:os";
import { baseFd } from "../../src/guard/inner-socket.js";
import { createEpoll, Epoll, readiness } from "../../src/kernel/epoll.js";
import { createEventFd, ring, silence } from "../../src/kernel/event-fd.js";
import { socketCookie } from "../../src/kernel/socket-cookie.js";
import { duplicate, receive, transmit } from "../../src/kernel/socket-io.js";
import { loopbackConnection } from "./support.js";

/** The largest and the smallest words, and one with all bits different. */
const words = [0, 1, 0xffff_ffff, 0x1234_5678] as const;

describe("an epoll set", () => {
  test("tells what is ready by the words it was added with", () => {
    using set = createEpoll();
    const epoll = new Epoll(set.fd, 8);
    using bell = createEventFd();
    for (const low of words)
      for (const high of words) {
        epoll.add(bell.fd, low, high);
        assert.equal(epoll.wait(0), 0);
        ring(bell.fd);
        assert.equal(epoll.wait(0), 1);
        assert.deepEqual([epoll.low(0), epoll.high(0), epoll.what(0)], [low, high, readiness.readable]);
        silence(bell.fd);
        assert.equal(epoll.wait(0), 0);
        assert.equal(epoll.remove(bell.fd), true);
      }
    assert.equal(epoll.remove(bell.fd), false);
  });

  test("gives many at once, no more than it has room for, and the others the next time", () => {
    using set = createEpoll();
    const epoll = new Epoll(set.fd, 2);
    const bells = [createEventFd(), createEventFd(), createEventFd()];
    for (const [n, { fd }] of bells.entries()) {
      epoll.add(fd, n, 7);
      ring(fd);
    }
    const seen = [2, 1, 0].map((expected) => {
      const count = epoll.wait(0);
      assert.equal(count, expected);
      return Array.from({ length: count }, (_, n) => epoll.low(n));
    });
    assert.deepEqual(seen.flat().toSorted(), [0, 1, 2]);
    for (const bell of bells) bell[Symbol.dispose]();
  });

  test("tells of the same once, of more of it, and of what is still there when it is asked for", () => {
    using set = createEpoll();
    const epoll = new Epoll(set.fd, 8);
    using bell = createEventFd();
    epoll.add(bell.fd, 1, 1);
    ring(bell.fd);
    assert.deepEqual([epoll.wait(0), epoll.wait(0)], [1, 0]);
    ring(bell.fd);
    assert.deepEqual([epoll.wait(0), epoll.wait(0)], [1, 0]);
    epoll.again(bell.fd, 2, 3);
    assert.deepEqual([epoll.wait(0), epoll.low(0), epoll.high(0), epoll.wait(0)], [1, 2, 3, 0]);
  });

  test("names the call that failed", () => {
    using set = createEpoll();
    const epoll = new Epoll(set.fd, 1);
    assert.throws(() => epoll.add(-1, 0, 0), /epoll_ctl\(ADD\).*EBADF/);
    set.close();
    assert.throws(() => epoll.wait(0), /epoll_wait.*EBADF/);
  });
});

describe("a socket by its descriptor", () => {
  test("is read and written without waiting, and says why it cannot", async () => {
    await using connection = await loopbackConnection();
    connection.accepted.pause();
    const fd = duplicate(baseFd(connection.accepted));
    const room = Buffer.alloc(16);
    assert.equal(receive(fd, room), -constants.errno.EAGAIN);
    connection.client.write("abc");
    await new Promise((resolve) => setTimeout(resolve, 20));
    // libuv, too, reads while it does not know of the pause; what arrived lies in one of the two.
    const length = receive(fd, room);
    assert.ok(length === 3 || length === -constants.errno.EAGAIN, String(length));
    const heard = once(connection.client, "data") as Promise<[Buffer]>;
    assert.equal(transmit(fd, Buffer.from("defghi"), 3), 3);
    assert.equal((await heard)[0].toString(), "def");
    let taken = 0;
    const much = Buffer.alloc(1 << 20);
    connection.client.pause();
    for (let n = 0; n < 100 && taken >= 0; n++) taken = transmit(fd, much, much.length);
    assert.equal(taken, -constants.errno.EAGAIN);
    closeSync(fd);
    assert.equal(receive(fd, room), -constants.errno.EBADF);
    assert.equal(duplicate(fd), -constants.errno.EBADF);
  });

  test("goes on over a second descriptor when the first is closed, and the peer sees no end", async () => {
    await using connection = await loopbackConnection();
    const first = baseFd(connection.accepted);
    const cookie = socketCookie(first);
    const second = duplicate(first);
    let ended = false;
    connection.client.on("end", () => (ended = true));
    connection.accepted.destroy();
    await once(connection.accepted, "close");
    assert.notEqual(cookie, null);
    assert.equal(socketCookie(second), cookie);
    const again = new Socket({ fd: second });
    again.write("still here");
    const [bytes] = (await once(connection.client, "data")) as [Buffer];
    assert.equal(bytes.toString(), "still here");
    assert.equal(ended, false);
    again.destroy();
    await once(connection.client, "end");
  });

  test("what is no socket has no cookie", () => {
    using bell = createEventFd();
    assert.equal(socketCookie(bell.fd), null);
  });
});
