import { type COption, optionsFunction } from "./c-function.js";
import { keepaliveAlone, type RoundedSettings } from "./rounding.js";
import { purpose, type TargetDefinition } from "./snippet.js";

/** macOS names the idle time TCP_KEEPALIVE and bounds retransmission apart from keepalive (netinet/tcp.h of xnu). */
export const macos: TargetDefinition = {
  id: "macos",
  title: "macOS (C, and its system-wide defaults)",
  aliases: ["darwin", "osx", "mac", "xnu"],
  needs: "macOS 10.8 or later; TCP_RXT_CONNDROPTIME is absent from other BSDs",
  write(settings) {
    const alone = keepaliveAlone(settings);
    const dropS = dropSeconds(settings);
    const options: COption[] = [{ level: "SOL_SOCKET", name: "SO_KEEPALIVE", value: alone === null ? 0 : 1 }];
    if (alone !== null)
      options.push(
        { level: "IPPROTO_TCP", name: "TCP_KEEPALIVE", value: alone.idleS, comment: "0x10, s" },
        { level: "IPPROTO_TCP", name: "TCP_KEEPINTVL", value: alone.intervalS, comment: "0x101, s" },
        { level: "IPPROTO_TCP", name: "TCP_KEEPCNT", value: alone.count, comment: "0x102" },
      );
    if (dropS > 0)
      options.push({
        level: "IPPROTO_TCP",
        name: "TCP_RXT_CONNDROPTIME",
        value: dropS,
        comment: "0x80, s of retransmission",
      });
    const text = optionsFunction({
      comment: `${purpose({ ...settings, keepalive: alone })}. Returns 0, or -1 with errno set.`,
      includes: ["netinet/in.h", "netinet/tcp.h", "stddef.h", "sys/socket.h"],
      options,
    });
    if (alone === null) return { text, notes: dropNotes(settings, dropS) };
    const sysctls = [
      `net.inet.tcp.keepidle=${alone.idleS * 1_000}`,
      `net.inet.tcp.keepintvl=${alone.intervalS * 1_000}`,
      `net.inet.tcp.keepcnt=${alone.count}`,
    ].join(" ");
    return {
      text: `${text}\n\n/* The system's defaults, in ms, for sockets that switch keepalive on themselves:\n   sudo sysctl ${sysctls} */`,
      notes: [...dropNotes(settings, dropS), ...countNotes(settings)],
    };
  },
};

/** Windows: option numbers of ws2ipdef.h; the registry's keepalive times are milliseconds and its count is fixed. */
export const windows: TargetDefinition = {
  id: "windows",
  title: "Windows (Winsock, and its system-wide defaults)",
  aliases: ["win32", "winsock", "win"],
  needs: "Windows 10 1709 or Server 2019",
  write(settings) {
    const alone = keepaliveAlone(settings);
    const maxRtS = dropSeconds(settings);
    const options: COption[] = [{ level: "SOL_SOCKET", name: "SO_KEEPALIVE", value: alone === null ? 0 : 1 }];
    if (alone !== null)
      options.push(
        { level: "IPPROTO_TCP", name: "TCP_KEEPIDLE", value: alone.idleS, comment: "3, s" },
        { level: "IPPROTO_TCP", name: "TCP_KEEPINTVL", value: alone.intervalS, comment: "17, s" },
        { level: "IPPROTO_TCP", name: "TCP_KEEPCNT", value: alone.count, comment: "16" },
      );
    if (maxRtS > 0)
      options.push({
        level: "IPPROTO_TCP",
        name: "TCP_MAXRT",
        value: maxRtS,
        comment: "5, s of retransmission",
      });
    const text = optionsFunction({
      comment: `${purpose({ ...settings, keepalive: alone })}. Returns 0, or -1; see WSAGetLastError().`,
      includes: ["winsock2.h", "ws2tcpip.h", "stddef.h"],
      socket: "SOCKET",
      cast: "(const char *)",
      options,
    });
    if (alone === null) return { text, notes: dropNotes(settings, maxRtS) };
    return {
      text: `${text}\n\n/* The system's defaults, in ms, for sockets that switch keepalive on themselves (restart needed):\n${registryLines(settings).join("\n")} */`,
      notes: [
        ...dropNotes(settings, maxRtS),
        ...countNotes(settings),
        "the registry's interval is chosen for the 10 probes that Windows always sends by default",
      ],
    };
  },
};

function registryLines(settings: RoundedSettings): string[] {
  const alone = keepaliveAlone(settings);
  if (alone === null) return [];
  const key = String.raw`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`;
  const intervalMs = Math.max(1, Math.floor((alone.intervalS * 1_000 * alone.count) / 10));
  return [
    `   reg add ${key} /v KeepAliveTime /t REG_DWORD /d ${alone.idleS * 1_000} /f`,
    `   reg add ${key} /v KeepAliveInterval /t REG_DWORD /d ${intervalMs} /f`,
  ];
}

/** The user timeout in the whole seconds that both systems bound retransmission with; rounded down, at least 1. */
const dropSeconds = ({ userTimeoutMs }: RoundedSettings): number =>
  userTimeoutMs === 0 ? 0 : Math.max(1, Math.floor(userTimeoutMs / 1_000));

function dropNotes({ userTimeoutMs }: RoundedSettings, seconds: number): string[] {
  if (userTimeoutMs === 0) return [];
  const rounded =
    seconds * 1_000 === userTimeoutMs ? [] : [`user timeout ${userTimeoutMs} ms is rounded to ${seconds} s`];
  return [
    ...rounded,
    "bounds retransmission only: unlike Linux's user timeout it leaves keepalive's count alone and is not a bound for a peer whose window stays at zero",
  ];
}

/** Neither system's bound on retransmission overrides the count, so the count stands in for the user timeout. */
function countNotes(settings: RoundedSettings): string[] {
  const count = keepaliveAlone(settings)?.count;
  return count === settings.keepalive?.count
    ? []
    : [`count is ${count} in place of ${settings.keepalive?.count}: here it decides alone when to give up`];
}
