import { keepalivePurpose, lines, type TargetDefinition, withoutUserTimeout } from "./snippet.js";

/** jdk.net's options; `socket` is a Socket or a SocketChannel, which share setOption. */
export const java: TargetDefinition = {
  id: "java",
  title: "Java (JDK, Netty)",
  aliases: ["jdk", "jvm", "kotlin", "scala", "netty"],
  needs: "JDK 11",
  write(settings) {
    const { keepalive, notes } = withoutUserTimeout(settings, "the JDK");
    return {
      text: lines(
        `// ${keepalivePurpose(settings)}.`,
        `socket.setOption(java.net.StandardSocketOptions.SO_KEEPALIVE, ${keepalive !== null});`,
        keepalive === null
          ? null
          : [
              extended("TCP_KEEPIDLE", keepalive.idleS),
              extended("TCP_KEEPINTERVAL", keepalive.intervalS),
              extended("TCP_KEEPCOUNT", keepalive.count),
            ],
        settings.userTimeoutMs === 0
          ? null
          : `// Netty's native epoll transport has the user timeout too: bootstrap.option(EpollChannelOption.TCP_USER_TIMEOUT, ${settings.userTimeoutMs});`,
      ),
      notes,
    };
  },
};

const extended = (name: string, value: number): string =>
  `socket.setOption(jdk.net.ExtendedSocketOptions.${name}, ${value});`;
