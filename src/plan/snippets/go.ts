import { keepaliveAlone } from "./rounding.js";
import { lines, purpose, type TargetDefinition } from "./snippet.js";
import { linuxSocketOptions } from "./sockets.js";

/**
 * Go's own keepalive (15 s, 15 s, 9 for every dialer and listener) is set after Control has run, so KeepAlive must be
 * negative: that leaves the socket as Control made it.
 */
export const go: TargetDefinition = {
  id: "go",
  title: "Go",
  aliases: ["golang"],
  needs: "Go 1.11 on Linux; net.KeepAliveConfig, on any system, Go 1.23",
  setsRtoMax: true,
  write(settings) {
    const alone = keepaliveAlone(settings);
    const portable =
      alone === null
        ? "net.Dialer{KeepAlive: -1}"
        : `net.KeepAliveConfig{Enable: true, Idle: ${alone.idleS} * time.Second, Interval: ${alone.intervalS} * time.Second, Count: ${alone.count}}`;
    return {
      text: lines(
        'import (\n\t"net"\n\t"syscall"\n)',
        "",
        `// ${purpose(settings)}.`,
        "func noticeDeadPeer(_, _ string, conn syscall.RawConn) error {",
        "\toptions := []struct{ level, name, value int }{",
        linuxSocketOptions(settings).map(({ level, name, number, value, unit }) => {
          // syscall is frozen: it never learnt the younger options' names.
          const known = unit === undefined ? `syscall.${name}` : String(number);
          return `\t\t{syscall.${level}, ${known}, ${value}},${unit === undefined ? "" : ` // ${name}, ${unit}`}`;
        }),
        "\t}",
        "\tvar failed error",
        "\terr := conn.Control(func(fd uintptr) {",
        "\t\tfor _, option := range options {",
        "\t\t\tif failed == nil {",
        "\t\t\t\tfailed = syscall.SetsockoptInt(int(fd), option.level, option.name, option.value)",
        "\t\t\t}",
        "\t\t}",
        "\t})",
        "\tif err != nil {",
        "\t\treturn err",
        "\t}",
        "\treturn failed",
        "}",
        "",
        "// KeepAlive: -1 stops Go from putting its own 15 s over these.",
        "var dialer = net.Dialer{Control: noticeDeadPeer, KeepAlive: -1}",
        "var listener = net.ListenConfig{Control: noticeDeadPeer, KeepAlive: -1}",
        "",
        `// Go 1.23 and later, any system, without the user timeout: ${portable}`,
      ),
      notes:
        settings.userTimeoutMs === 0
          ? []
          : [
              "Go 1.24 and later listens with Multipath TCP, which refuses the user timeout: call listener.SetMultipathTCP(false) first",
            ],
    };
  },
};
