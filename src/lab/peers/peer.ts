import { connect } from "node:net";
import { createInterface } from "node:readline";
import { PeerConnection } from "./connection.js";
import { exchange } from "./exchange.js";
import { beat } from "./heartbeat.js";
import { listen } from "./listener.js";
import { type Command, tell } from "./protocol.js";

/** A program on a host of the lab: does what its standard input says, and says on its standard output what happens. */
const connections = new Map<string, PeerConnection>();

createInterface({ input: process.stdin })
  .on("line", (line) => {
    try {
      obey(JSON.parse(line) as Command);
    } catch (error) {
      tell({ event: "failed", message: error instanceof Error ? error.message : String(error) });
    }
  })
  // The lab is gone, and this host with it.
  .on("close", () => process.exit());
tell({ event: "ready" });

function obey(command: Command): void {
  switch (command.do) {
    case "listen":
      listen(command, connections);
      return;
    case "connect":
      open(command);
      return;
    case "exchange":
      exchange(command).catch((error: unknown) => tell({ event: "failed", message: String(error) }));
      return;
    default:
  }
  const meant = [...connections.values()].filter(({ name }) => name === (command.connection ?? name));
  for (const connection of meant) {
    switch (command.do) {
      case "write":
        connection.write(command.text ?? Buffer.alloc(command.bytes ?? 0, "."));
        break;
      case "end":
        connection.socket.end();
        break;
      case "destroy":
        connection.socket.destroy();
        break;
      case "set":
        connection.set(command.settings);
        break;
      case "snapshot":
        connection.snapshot();
        break;
      case "heartbeat":
        beat(connection, command.everyMs, command.misses);
        break;
      default:
    }
  }
}

function open({ connection: name, to, port, settings, halfOpen }: Extract<Command, { do: "connect" }>): void {
  const socket = connect({ host: to, port, allowHalfOpen: halfOpen, noDelay: true });
  const connection = new PeerConnection(name, socket, settings);
  connections.set(name, connection);
  socket.once("close", () => connections.delete(name));
  socket.once("connect", () => connection.begin("connected"));
}
