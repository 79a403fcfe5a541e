// The real programs that tests and benches are held against, from Debian's packages.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { run } from "./tools.js";

/** A program that must be on PATH (or at a path), and the package that brings it. */
const needed = [
  ["ip", "iproute2"],
  ["nft", "nftables"],
  ["python3", "python3"],
  ["/usr/lib/python3/dist-packages/yaml", "python3-yaml"],
  ["/usr/lib/python3/dist-packages/grpc", "python3-grpcio"],
  ["gcc", "gcc"],
  ["go", "golang-go"],
  ["javac", "default-jdk-headless"],
  ["rustc", "rustc"],
  ["cargo", "cargo"],
  ["/usr/share/doc/librust-socket2-dev", "librust-socket2-dev"],
  ["sysctl", "procps"],
  ["nginx", "nginx"],
  ["haproxy", "haproxy"],
  ["/usr/sbin/apache2", "apache2-bin"],
  ["lighttpd", "lighttpd"],
  ["slowhttptest", "slowhttptest"],
  ["siege", "siege"],
  ["h2load", "nghttp2-client"],
  ["psql", "postgresql-client"],
  ["/usr/lib/postgresql", "postgresql"],
  ["redis-server", "redis-server"],
  ["mosquitto", "mosquitto"],
  ["/usr/lib/rabbitmq", "rabbitmq-server"],
  ["sshd", "openssh-server"],
  ["ssh", "openssh-client"],
  ["nc.openbsd", "netcat-openbsd"],
  ["mariadbd", "mariadb-server"],
  ["systemd-analyze", "systemd"],
  ["tcpdump", "tcpdump"],
  ["tshark", "tshark"],
  ["chromium", "chromium"],
  ["xmllint", "libxml2-utils"],
  // Of the benches.
  ["wrk", "wrk"],
  ["/usr/lib/libkeepalive.so.0", "libkeepalive0"],
];

const have = (program) =>
  program.startsWith("/")
    ? existsSync(program)
    : `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`
        .split(":")
        .some((dir) => existsSync(`${dir}/${program}`));

/** Installs what is missing, if we may; otherwise says so, and the tests that need it skip with the reason. */
export function installDebianPackages() {
  const missing = [...new Set(needed.filter(([program]) => !have(program)).map(([, name]) => name))];
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || spawnSync("apt-get", ["--version"]).status !== 0) {
    console.error(
      `not installed, and this is not root on Debian, so some tests will skip: ${missing.join(" ")}`,
    );
    return;
  }
  console.error(`installing for the tests: ${missing.join(" ")}`);
  // Debian starts services on installation; a policy of 101 (invoke-rc.d(8)) keeps them off this machine's ports.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  run("apt-get", ["-qq", "update"], { env, stdio: ["ignore", 2, 2] });
  run("apt-get", ["-qq", "install", "-y", "--no-install-recommends", ...missing], {
    env,
    stdio: ["ignore", 2, 2],
  });
}
