import { lines, purpose, type TargetDefinition } from "./snippet.js";

/** std has neither keepalive nor user timeout; socket2, which std's and tokio's own types convert to, has both. */
export const rust: TargetDefinition = {
  id: "rust",
  title: "Rust (socket2)",
  aliases: ["rs", "socket2", "tokio"],
  needs: 'socket2 0.4.4 or later with features = ["all"]',
  write(settings) {
    const { keepalive, userTimeoutMs } = settings;
    return {
      text: lines(
        `// ${purpose(settings)}.`,
        '// Cargo.toml: socket2 = { version = "0.6", features = ["all"] }',
        "let socket = socket2::SockRef::from(&stream);",
        keepalive === null
          ? "socket.set_keepalive(false)?;"
          : [
              "socket.set_tcp_keepalive(",
              "    &socket2::TcpKeepalive::new()",
              `        .with_time(std::time::Duration::from_secs(${keepalive.idleS}))`,
              `        .with_interval(std::time::Duration::from_secs(${keepalive.intervalS}))`,
              `        .with_retries(${keepalive.count}),`,
              ")?;",
            ],
        userTimeoutMs === 0
          ? null
          : `socket.set_tcp_user_timeout(Some(std::time::Duration::from_millis(${userTimeoutMs})))?;`,
      ),
      notes: userTimeoutMs === 0 ? [] : ["set_tcp_user_timeout exists on Linux, Android and Fuchsia"],
    };
  },
};
