/**
 * The numbers of the kernel's binary interface, in one place. deadpeer knows two architectures, x64 and arm64. They agree on
 * everything below: both are little-endian and 64-bit, both use the generic socket options (asm-generic/socket.h; MIPS, SPARC,
 * PA-RISC and Alpha do not), and system calls numbered 424 and above are the same everywhere. They do *not* agree on older
 * system calls (bpf is 321 and 280, ioctl 16 and 29) nor on some open(2) flags (O_DIRECTORY, O_NOFOLLOW, O_DIRECT): take
 * those from Node or libc, or add a table by architecture here.
 */
export const supportedArchitectures: readonly string[] = ["x64", "arm64"];

/** System calls that the C library may not wrap. */
export const syscallNumbers = {
  /** Linux 5.2. */
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  /** Linux 5.3. */
  pidfdOpen: 434,
  /** Linux 5.6. */
  pidfdGetfd: 438,
} as const;

/** bpf(2)'s number, which is older than the common ones. */
export function bpfNumber(): number {
  return bpfNumbers[process.arch === "arm64" ? "arm64" : "x64"];
}

export const bpfNumbers = { x64: 321, arm64: 280 } as const;

/** include/uapi/linux/sched.h. */
export const CLONE_NEWNET = 0x40000000;

/** include/linux/socket.h. */
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const SOCK_STREAM = 1;

/** include/uapi/linux/netlink.h. */
export const NETLINK_SOCK_DIAG = 4;

/** include/uapi/asm-generic/socket.h. */
export const SOL_SOCKET = 1;
export const SO_ERROR = 4;
export const SO_KEEPALIVE = 9;
/** Linux 4.12. A number that no other socket has while the machine runs; sock_diag shows the same. */
export const SO_COOKIE = 57;

/** include/uapi/linux/in.h. */
export const IPPROTO_TCP = 6;

/** include/uapi/linux/tcp.h. */
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_KEEPINTVL = 5;
export const TCP_KEEPCNT = 6;
export const TCP_INFO = 11;
export const TCP_USER_TIMEOUT = 18;
/** Linux 6.15. */
export const TCP_RTO_MAX_MS = 44;
