import { formatDuration } from "../duration.js";
import {
  keepalivePurpose,
  lines,
  purpose,
  secondsOrMs,
  type TargetDefinition,
  withoutUserTimeout,
} from "./snippet.js";
import { linuxSocketOptions } from "./sockets.js";

/** nginx sets the times on its listening sockets only; towards upstreams it just switches keepalive on. */
export const nginx: TargetDefinition = {
  id: "nginx",
  title: "nginx",
  aliases: ["openresty", "angie", "freenginx"],
  needs: "nginx 1.15.6 (proxy_socket_keepalive)",
  write(settings) {
    const { keepalive, notes } = withoutUserTimeout(settings, "nginx");
    const listen =
      keepalive === null ? "off" : `${keepalive.idleS}s:${keepalive.intervalS}s:${keepalive.count}`;
    return {
      text: lines(
        `# ${keepalivePurpose(settings)}. On the listen line of one server for each address:`,
        `listen 80 so_keepalive=${listen};`,
        keepalive === null
          ? "proxy_socket_keepalive off;"
          : "proxy_socket_keepalive on; # upstreams; the times are the system's: deadpeer plan --for sysctl",
      ),
      notes: [
        ...notes,
        ...(keepalive === null
          ? []
          : ["towards upstreams nginx has no times for keepalive: they come from net.ipv4.tcp_keepalive_*"]),
        ...(settings.userTimeoutMs === 0
          ? []
          : [
              `send_timeout and proxy_send_timeout of ${formatDuration(settings.userTimeoutMs)} come nearest`,
            ]),
      ],
    };
  },
};

/** HAProxy: for client and server side alike, the user timeout on bind and server lines (default-server's is not applied). */
export const haproxy: TargetDefinition = {
  id: "haproxy",
  title: "HAProxy",
  aliases: ["hapee"],
  needs: "HAProxy 2.3",
  write(settings) {
    const { keepalive, userTimeoutMs } = settings;
    const side = (name: "cli" | "srv"): readonly string[] =>
      keepalive === null
        ? [`    no option ${name}tcpka`]
        : [
            `    option ${name}tcpka`,
            `    ${name}tcpka-idle ${keepalive.idleS}s`,
            `    ${name}tcpka-intvl ${keepalive.intervalS}s`,
            `    ${name}tcpka-cnt ${keepalive.count}`,
          ];
    const tcpUt = `tcp-ut ${secondsOrMs(userTimeoutMs)}`;
    return {
      text: lines(
        `    # ${purpose(settings)}. In "defaults" or "listen":`,
        side("cli"),
        side("srv"),
        userTimeoutMs === 0
          ? null
          : [
              "    # and on each bind and server line:",
              `    # bind :80 ${tcpUt}`,
              `    # server app 192.0.2.1:80 ${tcpUt}`,
            ],
      ),
      notes:
        userTimeoutMs === 0
          ? []
          : [
              "tcp-ut belongs on each server line: HAProxy 2.6 accepts it on default-server but does not apply it",
            ],
    };
  },
};

/** Envoy: named fields towards upstreams; numbered socket options, inherited on accept, for a listener. */
export const envoy: TargetDefinition = {
  id: "envoy",
  title: "Envoy (Istio)",
  aliases: ["istio", "contour"],
  needs: "the v3 API, on Linux",
  write(settings) {
    const { keepalive, userTimeoutMs } = settings;
    const options = linuxSocketOptions({ ...settings, rtoMaxMs: undefined });
    const entry = (option: (typeof options)[number]): string =>
      `  - { description: ${option.name}, level: ${option.level === "SOL_SOCKET" ? 1 : 6}, name: ${option.number}, int_value: ${option.value}, state: STATE_PREBIND }`;
    const userTimeout = options.filter(({ name }) => name === "TCP_USER_TIMEOUT");
    return {
      text: lines(
        `# ${purpose(settings)}. In a listener:`,
        "socket_options:",
        options.map(entry),
        ...(keepalive === null && userTimeoutMs === 0
          ? ["# In a cluster: leave tcp_keepalive away; it is off unless set."]
          : ["# In a cluster:"]),
        keepalive === null
          ? null
          : [
              "upstream_connection_options:",
              "  tcp_keepalive:",
              `    keepalive_time: ${keepalive.idleS} # s`,
              `    keepalive_interval: ${keepalive.intervalS}`,
              `    keepalive_probes: ${keepalive.count}`,
            ],
        userTimeoutMs === 0
          ? null
          : [
              "upstream_bind_config:",
              "  socket_options:",
              userTimeout.map((option) => `  ${entry(option)}`),
            ].flat(),
      ),
      notes: [
        "the option numbers are Linux's on x86-64 and arm64",
        ...(userTimeoutMs === 0
          ? []
          : ["older releases want a source_address in upstream_bind_config: 0.0.0.0 or ::, port 0"]),
      ],
    };
  },
};
