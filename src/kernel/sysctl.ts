import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { DeadpeerError } from "../errors.js";
import { requireLinux } from "./platform.js";

const root = "/proc/sys";

/**
 * Reads a sysctl of the network namespace that this thread is in. Names have dots (`net.ipv4.tcp_retries2`) or, as for
 * sysctl(8), slashes where a part has a dot of its own (`net/ipv4/conf/eth0.7/forwarding`).
 *
 * @throws DeadpeerError `feature-missing` if this kernel, or this namespace, has no such sysctl; `bad-option` for what is not a
 *   name; `permission-denied`; `platform-unsupported` off Linux.
 * @example readSysctl("net.ipv4.tcp_retries2") // "15"
 */
export function readSysctl(name: string): string {
  const path = pathOf(name);
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw sysctlError(error, name, "read");
  }
}

/**
 * Writes a sysctl of the network namespace that this thread is in, and reads it back.
 *
 * @throws DeadpeerError `value-refused` if the kernel refuses the value or holds another; else as readSysctl.
 * @example writeSysctl("net.ipv4.tcp_keepalive_time", "600")
 */
export function writeSysctl(name: string, value: string | number): void {
  const path = pathOf(name);
  const wanted = String(value).trim();
  try {
    // "r+" never creates: a name that does not exist is an error, not a new file.
    writeFileSync(path, wanted, { flag: "r+" });
  } catch (error) {
    throw sysctlError(error, name, "write", wanted);
  }
  const held = readSysctl(name);
  // The kernel separates several values by tabs, people by spaces.
  if (held.split(/\s+/).join(" ") !== wanted.split(/\s+/).join(" "))
    throw new DeadpeerError("value-refused", `${name}: asked for ${wanted}, but the kernel holds ${held}`);
}

/** What the system decides for every TCP socket that does not decide itself. Of the shape of plan/'s SystemDefaults. */
export interface TcpSystemDefaults {
  readonly keepalive: { readonly idleMs: number; readonly intervalMs: number; readonly count: number };
  readonly retries2: number;
  readonly synRetries: number;
  readonly synLinearTimeouts: number;
  readonly rtoMinMs: number;
  readonly rtoMaxMs: number;
}

/**
 * Reads the system's defaults from the network namespace that this thread is in; wrap it in inNamespace for another.
 *
 * rtoMinMs is the kernel's constant TCP_RTO_MIN and not net.ipv4.tcp_rto_min_us: how long tcp_retries2 lasts is reckoned from
 * the constant (retransmits_timed_out), however small the timeouts of the connection itself are.
 *
 * @throws DeadpeerError as readSysctl.
 * @example readSystemDefaults().keepalive.idleMs // 7200000
 */
export function readSystemDefaults(): TcpSystemDefaults {
  return {
    keepalive: {
      idleMs: readNumber("net.ipv4.tcp_keepalive_time") * 1_000,
      intervalMs: readNumber("net.ipv4.tcp_keepalive_intvl") * 1_000,
      count: readNumber("net.ipv4.tcp_keepalive_probes"),
    },
    retries2: readNumber("net.ipv4.tcp_retries2"),
    synRetries: readNumber("net.ipv4.tcp_syn_retries"),
    // Linux 6.5; before it every wait for the SYN's answer was twice the one before.
    synLinearTimeouts: readNumber("net.ipv4.tcp_syn_linear_timeouts", 0),
    rtoMinMs: 200,
    // Linux 6.15; before it the constant TCP_RTO_MAX.
    rtoMaxMs: readNumber("net.ipv4.tcp_rto_max_ms", 120_000),
  };
}

function readNumber(name: string, whenAbsent?: number): number {
  if (whenAbsent !== undefined && !existsSync(pathOf(name))) return whenAbsent;
  return Number(readSysctl(name));
}

function pathOf(name: string): string {
  requireLinux("sysctls");
  const parts = name.includes("/") ? name.split("/") : name.split(".");
  if (parts.some((part) => !/^[\w@:.-]+$/.test(part) || part === "." || part === ".."))
    throw new DeadpeerError(
      "bad-option",
      `"${name}" is not the name of a sysctl; write for example net.ipv4.tcp_retries2`,
    );
  return `${root}/${parts.join("/")}`;
}

function sysctlError(
  error: unknown,
  name: string,
  operation: "read" | "write",
  wanted?: string,
): DeadpeerError {
  const errno = (error as NodeJS.ErrnoException).code ?? "EIO";
  const because = { operation: `${operation}(${name})`, errno, cause: error };
  switch (errno) {
    case "ENOENT":
      return new DeadpeerError("feature-missing", `there is no sysctl ${name} here`, because);
    case "EACCES":
    case "EPERM":
      return new DeadpeerError(
        "permission-denied",
        `${name}: may not be ${operation === "read" ? "read" : "written"}; it needs root, or CAP_NET_ADMIN in its namespace`,
        because,
      );
    case "EROFS":
      return new DeadpeerError(
        "permission-denied",
        `${name}: ${root} is mounted read-only, as container engines do; set it from the host or in the container's options`,
        because,
      );
    case "EINVAL":
    case "ERANGE":
      return new DeadpeerError("value-refused", `${name}: the kernel refuses "${wanted}"`, because);
    default:
      return new DeadpeerError("syscall-failed", `${name}: cannot ${operation} (${errno})`, because);
  }
}
