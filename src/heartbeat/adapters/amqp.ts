import { DeadpeerError } from "../../errors.js";
import { innerSocket } from "../../guard/inner-socket.js";
import type { HeartbeatAdapter } from "../adapter.js";
import { overSocket } from "./over-socket.js";

/** What is used of a connection of amqplib, with promises or with callbacks. */
export interface AmqpConnection {
  readonly connection: object;
}

/** What amqplib does not describe: what it agreed with the broker, in seconds, and the frame itself. */
interface AmqpInternals {
  readonly heartbeat?: number;
  sendHeartbeat(): void;
}

/**
 * Heartbeats of AMQP 0-9-1 (section 4.2.7): each side sends its own and answers none. amqplib sends what it has promised; this
 * watches for the broker's, and has a verdict as soon as they are overdue, where amqplib itself takes up to three intervals. A budget
 * shorter than the broker's interval is stretched to it.
 *
 * @throws DeadpeerError `bad-option` if no heartbeats were agreed on; `no-socket`.
 * @example
 * const connection = await connect("amqp://localhost?heartbeat=10");
 * heartbeat(overAmqp(connection), "normal");
 */
export function overAmqp(amqp: AmqpConnection): HeartbeatAdapter {
  const internals = amqp.connection as AmqpInternals;
  const everyS = internals.heartbeat ?? 0;
  if (everyS === 0)
    throw new DeadpeerError(
      "bad-option",
      "the connection has no AMQP heartbeats, so a silent broker proves nothing; connect with ?heartbeat=10",
    );
  return overSocket(innerSocket(amqp), {
    answers: false,
    // amqplib reads by itself, whatever the application does.
    blocked: () => false,
    beat: () => internals.sendHeartbeat(),
    listen(peer) {
      // RabbitMQ sends twice as often; other brokers need not.
      peer.beaten(undefined, everyS * 1_000);
      return () => {};
    },
  });
}
