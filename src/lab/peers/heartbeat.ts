import { readTcpInfo } from "../../kernel/tcp-info.js";
import { judge } from "../../verdict/verdict.js";
import type { PeerConnection } from "./connection.js";
import { baseFd } from "../../guard/inner-socket.js";
import { tell } from "./protocol.js";

/** A question that only the peer's program can answer, every so often; `misses` in a row without an answer end the connection. */
export function beat(connection: PeerConnection, everyMs: number, misses: number): void {
  const { name, socket } = connection;
  const started = Date.now();
  let beats = 0;
  let missed = 0;
  let answeredAt: number | null = null;
  const timer = setInterval(() => {
    if (missed > 0) tell({ event: "missed", connection: name, beat: beats });
    if (missed >= misses) {
      giveUp();
      return;
    }
    missed++;
    beats++;
    socket.write("heartbeat\n");
  }, everyMs);
  socket.on("data", () => {
    missed = 0;
    answeredAt = Date.now();
    tell({ event: "answered", connection: name, beat: beats });
  });
  socket.once("close", () => clearInterval(timer));

  function giveUp(): void {
    clearInterval(timer);
    const at = Date.now();
    const verdict = judge({
      at,
      closedBy: "program",
      ageMs: at - started,
      figures: readTcpInfo(baseFd(socket)),
      settings: connection.settings(),
      heartbeat: { missed, lastAnswerMs: answeredAt === null ? null : at - answeredAt },
    });
    connection.release();
    tell({ event: "verdict", connection: name, verdict });
    socket.destroy();
  }
}
