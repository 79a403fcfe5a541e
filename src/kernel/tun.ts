import { closeSync, openSync } from "node:fs";
import { DeadpeerError } from "../errors.js";
import { check, libc } from "./libc.js";

/** include/uapi/linux/if_tun.h; the same number on x64 and arm64. */
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
/** struct ifreq: the name, then the flags. */
const ifreq = { name: 0, nameLength: 16, flags: 16, bytes: 40 } as const;

/**
 * Makes a network interface behind which this process stands: what the kernel sends to it is read from the descriptor, one IP
 * packet a read, and what is written to it arrives from there. It is of this thread's network namespace, and goes with the
 * descriptor, which the caller closes.
 *
 * @param name at most 15 letters.
 * @throws DeadpeerError `permission-denied` without CAP_NET_ADMIN, `feature-missing` if the kernel has no TUN.
 * @example const packets = openTun("nat");
 */
export function openTun(name: string): number {
  let fd: number;
  try {
    fd = openSync("/dev/net/tun", "r+");
  } catch (cause) {
    throw new DeadpeerError(
      "feature-missing",
      `/dev/net/tun cannot be opened (${(cause as NodeJS.ErrnoException).code}); try: modprobe tun`,
      { cause },
    );
  }
  try {
    const request = Buffer.alloc(ifreq.bytes);
    request.write(name.slice(0, ifreq.nameLength - 1), ifreq.name, "latin1");
    request.writeUInt16LE(IFF_TUN | IFF_NO_PI, ifreq.flags);
    check(libc().ioctl(fd, TUNSETIFF, request), "ioctl(TUNSETIFF)");
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
