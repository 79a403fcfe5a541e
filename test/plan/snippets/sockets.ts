import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import type { Expected } from "./cases.js";
import { without } from "./programs.js";

/** A TCP socket of another process with the options that the kernel holds for it. */
export interface SeenSocket extends Expected {
  readonly localPort: number;
  /** null: it listens. */
  readonly remotePort: number | null;
}

/** pidfd_open(2) and pidfd_getfd(2): the sockets themselves, seen by nothing that deadpeer wrote. */
const program = `
import ctypes, errno, json, os, socket, sys
pid = int(sys.argv[1])
pidfd = os.pidfd_open(pid)
libc = ctypes.CDLL(None, use_errno=True)
seen = []
for name in os.listdir(f"/proc/{pid}/fd"):
    try:
        if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"): continue
    except FileNotFoundError: continue
    fd = libc.syscall(438, pidfd, int(name), 0)
    if fd < 0 and ctypes.get_errno() == errno.EBADF: continue # closed meanwhile
    if fd < 0: raise OSError(ctypes.get_errno(), f"pidfd_getfd of {name}")
    s = socket.socket(fileno=fd)
    if s.family not in (socket.AF_INET, socket.AF_INET6) or s.type != socket.SOCK_STREAM: continue
    try: remote = s.getpeername()[1]
    except OSError: remote = None
    tcp = lambda option: s.getsockopt(socket.IPPROTO_TCP, option)
    on = s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    times = [tcp(socket.TCP_KEEPIDLE), tcp(socket.TCP_KEEPINTVL), tcp(socket.TCP_KEEPCNT)]
    seen.append({"localPort": s.getsockname()[1], "remotePort": remote,
        "keepalive": times if on else None, "userTimeoutMs": tcp(socket.TCP_USER_TIMEOUT)})
print(json.dumps(seen))
`;

export async function socketsOf(pid: number): Promise<SeenSocket[]> {
  const { stdout } = await promisify(execFile)("python3", ["-c", program, String(pid)]);
  return JSON.parse(stdout) as SeenSocket[];
}

/** The reason to skip when the sockets of a sibling process cannot be had, else false. */
export function withoutSight(): string | false {
  const yama = "/proc/sys/kernel/yama/ptrace_scope";
  const sighted = process.getuid?.() === 0 || !existsSync(yama) || readFileSync(yama, "utf8").trim() === "0";
  return (
    without("python3") ||
    (sighted ? false : "CAP_SYS_PTRACE is missing: other programs' sockets cannot be read")
  );
}

/** Only what is compared. */
export function optionsOf({ keepalive, userTimeoutMs }: Expected): Expected {
  return { keepalive, userTimeoutMs };
}
