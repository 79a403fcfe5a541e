import { keepaliveAlone } from "./rounding.js";
import { lines, purpose, type TargetDefinition } from "./snippet.js";

/** deadpeer's guard for every Node, and what Node itself can do since 26.4. */
export const node: TargetDefinition = {
  id: "node",
  title: "Node.js",
  aliases: ["nodejs", "node.js", "js", "javascript", "typescript", "ts"],
  needs: "Node 20; without deadpeer, Node 26.4",
  write(settings) {
    const { keepalive, userTimeoutMs } = settings;
    const alone = keepaliveAlone(settings);
    const ofGuard =
      keepalive === null
        ? "null"
        : `{ idleMs: ${keepalive.idleS * 1_000}, intervalMs: ${keepalive.intervalS * 1_000}, count: ${keepalive.count} }`;
    const ofNode =
      alone === null
        ? "socket.setKeepAlive(false);"
        : `socket.setKeepAlive(true, ${alone.idleS * 1_000}, ${alone.intervalS * 1_000}, ${alone.count});`;
    return {
      text: lines(
        `// ${purpose(settings)}.`,
        'import { guard } from "deadpeer";',
        "",
        `guard(socket, { keepalive: ${ofGuard}, userTimeoutMs: ${userTimeoutMs} });`,
        "",
        `// Without deadpeer, Node 26.4 and later: ${ofNode}`,
      ),
      notes: [
        ...(userTimeoutMs === 0 ? [] : ["Node alone cannot set the user timeout"]),
        ...(alone === null
          ? []
          : ["before 26.4 Node's setKeepAlive ignores interval and count: 10 probes, 1 s apart"]),
      ],
    };
  },
};
