// Echo on epoll from TypeScript, with the calls that a parking worker makes: epoll_wait, recv into one buffer, send out of it.
//
//   node echo-epoll.js PORT
import { once } from "node:events";
import { createServer } from "node:net";
import { listeningFd } from "../../src/guard/inner-socket.js";
import { accept, noDelay, peerBytes } from "../../src/kernel/accept.js";
import { createEpoll, Epoll } from "../../src/kernel/epoll.js";
import { closeFd, receive, transmit } from "../../src/kernel/socket-io.js";

const listener = createServer().listen(Number(process.argv[2]), "127.0.0.1", 4_096);
await once(listener, "listening");
const fd = listeningFd(listener);
noDelay(fd);
const epoll = new Epoll(createEpoll().fd, 1_024);
epoll.add(fd, fd, 0);
const room = Buffer.alloc(65_536);
const peer = Buffer.alloc(peerBytes);
console.log("ready");
// It never comes back to Node's loop, as a parking worker does not.
for (;;) {
  const count = epoll.wait(1_000);
  for (let event = 0; event < count; event++) {
    const from = epoll.low(event);
    if (from === fd) {
      for (let to = accept(fd, peer); to >= 0; to = accept(fd, peer)) epoll.add(to, to, 0);
      continue;
    }
    const length = receive(from, room);
    if (length > 0) transmit(from, room, length);
    else if (length !== -11) closeFd(from);
  }
}
