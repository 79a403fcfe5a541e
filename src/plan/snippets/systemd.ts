import { keepalivePurpose, lines, type TargetDefinition, withoutUserTimeout } from "./snippet.js";

/** systemd.socket(5): set on the listening socket, inherited by the connections it hands over. */
export const systemd: TargetDefinition = {
  id: "systemd",
  title: "systemd socket units",
  aliases: ["systemd.socket", "socket-unit"],
  needs: "systemd 216; a service that is started through its socket",
  write(settings) {
    const { keepalive, notes } = withoutUserTimeout(settings, "a socket unit");
    return {
      text: lines(
        `# ${keepalivePurpose(settings)}. In the .socket unit:`,
        "[Socket]",
        `KeepAlive=${keepalive === null ? "no" : "yes"}`,
        keepalive === null
          ? null
          : [
              `KeepAliveTimeSec=${keepalive.idleS}`,
              `KeepAliveIntervalSec=${keepalive.intervalS}`,
              `KeepAliveProbes=${keepalive.count}`,
            ],
      ),
      notes: [...notes, "only for connections that come in through this unit"],
    };
  },
};
