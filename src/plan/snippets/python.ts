import { lines, purpose, type TargetDefinition } from "./snippet.js";
import { linuxSocketOptions } from "./sockets.js";

/** The socket module; every library that hands out its socket can be given the same lines. */
export const python: TargetDefinition = {
  id: "python",
  title: "Python",
  aliases: ["python3", "py", "asyncio"],
  needs: "Python 3.6 on Linux",
  setsRtoMax: true,
  write: (settings) => ({
    text: lines(
      `# ${purpose(settings)}`,
      "import socket",
      "",
      linuxSocketOptions(settings).map(({ level, name, number, value, unit }) =>
        // The socket module has no name for it yet.
        name === "TCP_RTO_MAX_MS"
          ? `sock.setsockopt(socket.${level}, ${number}, ${value})  # ${name}, ${unit}`
          : `sock.setsockopt(socket.${level}, socket.${name}, ${value})${unit === undefined ? "" : `  # ${unit}`}`,
      ),
    ),
    notes: ['asyncio: sock = writer.get_extra_info("socket")'],
  }),
};
