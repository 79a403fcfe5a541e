import { createServer, type Socket } from "node:net";
import { guardListener } from "../../guard/listener.js";
import { PeerConnection } from "./connection.js";
import type { Command } from "./protocol.js";
import { tell } from "./protocol.js";
import { passOn } from "./proxy.js";

type Listen = Extract<Command, { do: "listen" }>;

/** Listens, and deals with what it accepts as its part says. */
export function listen(command: Listen, connections: Map<string, PeerConnection>): void {
  const server = createServer({
    allowHalfOpen: command.as === "half-open" || command.as === "proxy",
    pauseOnConnect: command.as === "deaf",
  });
  let accepted = 0;
  server.on("connection", (socket: Socket) => {
    const name = `accepted-${++accepted}`;
    const connection = new PeerConnection(name, socket, null, { deaf: command.as === "deaf" });
    connections.set(name, connection);
    socket.once("close", () => connections.delete(name));
    connection.begin("accepted");
    play(command, socket);
  });
  server.listen(command.port, () => {
    if (command.settings !== undefined) guardListener(server, command.settings);
    tell({ event: "listening" });
  });
  server.on("error", (error) => tell({ event: "failed", message: error.message }));
}

function play(command: Listen, socket: Socket): void {
  switch (command.as) {
    case "echo":
      socket.on("data", (data) => socket.write(data));
      return;
    case "chatter": {
      const timer = setInterval(() => socket.write("still there?\n"), command.everyMs);
      socket.once("close", () => clearInterval(timer));
      return;
    }
    case "proxy":
      passOn(socket, command.to ?? "", command.toPort ?? 0, command.idleMs ?? 0);
      return;
    default:
  }
}
