import { optionsFunction } from "./c-function.js";
import { purpose, type TargetDefinition } from "./snippet.js";
import { linuxSocketOptions } from "./sockets.js";

/** TCP_RTO_MAX_MS is younger (Linux 6.15) than most systems' headers. */
const rtoMaxMacro = ["#ifndef TCP_RTO_MAX_MS", "#define TCP_RTO_MAX_MS 44", "#endif"];

/** C and C++ on Linux. */
export const c: TargetDefinition = {
  id: "c",
  title: "C and C++ (Linux)",
  aliases: ["c++", "cpp", "linux-c"],
  needs: "Linux 2.6.37 for the user timeout",
  setsRtoMax: true,
  write: (settings) => ({
    text: optionsFunction({
      comment: `${purpose(settings)}. Returns 0, or -1 with errno set.`,
      includes: ["netinet/in.h", "netinet/tcp.h", "stddef.h", "sys/socket.h"],
      extra: settings.rtoMaxMs === undefined ? [] : rtoMaxMacro,
      options: linuxSocketOptions(settings).map(({ level, name, value, unit }) => ({
        level,
        name,
        value,
        comment: unit,
      })),
    }),
    notes: ["set on a listening socket, accepted ones inherit it"],
  }),
};
