import { tracingChannel } from "node:diagnostics_channel";
import { innerSocket } from "../../guard/inner-socket.js";
import type { HeartbeatAdapter, Peer } from "../adapter.js";
import { overSocket } from "./over-socket.js";

/** What is used of a client of ioredis. */
export interface PingingIoredis {
  readonly status: string;
  readonly stream: unknown;
  readonly commandQueue: { peekFront(): { readonly command: RedisCommand } | undefined };
  ping(): Promise<unknown>;
}

interface RedisCommand {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** Commands that the server answers when something happens, or never; it reads nothing more from the connection until then. */
const blocking = new Set(
  "blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin wait waitaof".split(" "),
);
/** Those that do so with BLOCK. */
const perhapsBlocking = new Set(["xread", "xreadgroup"]);

/**
 * Heartbeats by Redis' PING, for one connection of an ioredis client; when the server is dead the connection is dropped, and the client
 * connects anew. Subscribers are pinged like others. While the server waits in a blocking command (BLPOP and the like), or the
 * connection is a monitor, its kernel is asked instead.
 *
 * @throws DeadpeerError `no-socket` if it is not connected, or by a Unix socket.
 * @example redis.on("ready", () => heartbeat(overIoredis(redis), "normal"));
 */
export function overIoredis(redis: PingingIoredis): HeartbeatAdapter {
  const { stream } = redis;
  const socket = innerSocket(stream);
  let peer: Peer | null = null;
  return overSocket(socket, {
    blocked() {
      const waiting = redis.commandQueue.peekFront()?.command;
      return redis.status !== "ready" || socket.isPaused() || (waiting !== undefined && isBlocking(waiting));
    },
    beat({ number }) {
      // Of the next connection, if it was faster: that has a heartbeat of its own.
      if (redis.stream === stream) answer(redis.ping(), () => peer?.answered(number));
    },
    listen(told) {
      peer = told;
      return () => (peer = null);
    },
  });
}

/** What is used of a client of node-redis, from 5 on. */
export interface PingingNodeRedis {
  readonly isReady: boolean;
  /** Its name in diagnostics; from 5.12 on. */
  readonly _clientId?: string;
  ping(): Promise<unknown>;
  destroy(): void;
  on(event: "reconnecting" | "end", listener: () => void): unknown;
  off(event: "reconnecting" | "end", listener: () => void): unknown;
}

/** What node-redis tells of a command on its diagnostics channel. */
interface TracedCommand {
  readonly clientId?: string;
  readonly command?: string;
  readonly args?: readonly unknown[];
}

/**
 * Heartbeats by Redis' PING, for one connection of a node-redis client. It keeps its socket to itself, so the kernel's figures have no
 * part in the verdict, and a dead connection can be dropped only with the client: connect it anew. While a blocking command
 * waits, nothing is asked: TCP keepalive decides, which node-redis switches on by itself.
 *
 * @example
 * client.on("ready", () => {
 *   heartbeat(overNodeRedis(client), "normal").on("verdict", () => void client.connect());
 * });
 */
export function overNodeRedis(client: PingingNodeRedis): HeartbeatAdapter {
  const { _clientId: ownId } = client;
  let peer: Peer | null = null;
  const waiting = new Set<unknown>();
  return {
    beat({ number }) {
      if (client.isReady) answer(client.ping(), () => peer?.answered(number));
    },
    progressed: () => waiting.size > 0,
    close: () => client.destroy(),
    listen(told) {
      peer = told;
      const channel = tracingChannel<string, TracedCommand>("node-redis:command");
      const follow = {
        start(traced: TracedCommand): void {
          const { clientId, command = "", args = [] } = traced;
          if (clientId === ownId && isBlocking({ name: command, args })) waiting.add(traced);
        },
        end() {},
        asyncStart() {},
        asyncEnd: (traced: TracedCommand): void => void waiting.delete(traced),
        error() {},
      };
      const onReconnecting = (): void => told.ended(true);
      const onEnd = (): void => told.ended();
      channel.subscribe(follow);
      client.on("reconnecting", onReconnecting);
      client.on("end", onEnd);
      return () => {
        peer = null;
        channel.unsubscribe(follow);
        client.off("reconnecting", onReconnecting);
        client.off("end", onEnd);
      };
    },
  };
}

/** A ping that fails is one more without an answer, or its connection has ended and says so itself. */
function answer(ping: Promise<unknown>, answered: () => void): void {
  ping.then(answered, () => {});
}

function isBlocking({ name, args }: RedisCommand): boolean {
  const lower = name.toLowerCase();
  return (
    blocking.has(lower) ||
    (perhapsBlocking.has(lower) && args.some((arg) => String(arg).toLowerCase() === "block"))
  );
}
