import { DeadpeerError } from "../errors.js";
import { AF_INET, IPPROTO_TCP, NETLINK_SOCK_DIAG, SOCK_STREAM, syscallNumbers } from "./abi.js";
import type { Answer } from "./capabilities.js";
import { OwnedFd } from "./fd.js";
import { errnoName } from "./errno.js";
import { check, lastErrno, libc } from "./libc.js";
import { openNetlink } from "./netlink-channel.js";
import { listSockets } from "./sock-diag.js";
import { nobody, SocketDestroyer } from "./sock-destroy.js";
import { readSettings } from "./socket-options.js";

/** What of the kernel deadpeer can make use of and that not every kernel has. */
export interface KernelFeature {
  readonly what: string;
  /** The first Linux that has it; distributions may have brought it to older ones, or built without it. */
  readonly since: string;
}

/** By name, each with the first Linux that has it. */
export const kernelFeatures = {
  "sock-diag": { what: "listing TCP sockets over netlink", since: "3.3" },
  "sock-destroy": { what: "ending connections in the kernel", since: "4.5" },
  "diag-cgroup": { what: "the cgroup of a listed socket", since: "5.8" },
  "pidfd-getfd": { what: "reaching sockets of other processes", since: "5.6" },
  "rto-max": { what: "a limit to the retransmission timeout of one socket", since: "6.15" },
} as const satisfies Record<string, KernelFeature>;

export type FeatureName = keyof typeof kernelFeatures;

const probes: Readonly<Record<FeatureName, () => Answer>> = {
  "sock-diag": probeSockDiag,
  "sock-destroy": probeSockDestroy,
  "diag-cgroup": probeDiagCgroup,
  "pidfd-getfd": probePidfdGetfd,
  "rto-max": probeRtoMax,
};

const conclusive = new Map<FeatureName, Answer>();

/**
 * Whether this kernel has a feature, found out by trying it harmlessly. "unknown" where trying says nothing: without koffi, or
 * where a sandbox or a missing privilege stands before the answer. Never throws. Only yes and no are remembered.
 *
 * @example hasFeature("pidfd-getfd") // "yes"
 */
export function hasFeature(name: FeatureName): Answer {
  const known = conclusive.get(name);
  if (known !== undefined) return known;
  let answer: Answer;
  try {
    answer = probes[name]();
  } catch {
    return "unknown";
  }
  if (answer !== "unknown") conclusive.set(name, answer);
  return answer;
}

function probeSockDiag(): Answer {
  try {
    // Nothing listens on port 0, so the answer is empty.
    listSockets({ states: ["LISTEN"], families: [4], port: 0 });
    return "yes";
  } catch (error) {
    return error instanceof DeadpeerError && error.code === "feature-missing" ? "no" : "unknown";
  }
}

function probeSockDestroy(): Answer {
  // Without inet_diag there is ENOENT too.
  const listing = hasFeature("sock-diag");
  if (listing !== "yes") return listing;
  using destroyer = new SocketDestroyer(openNetlink(NETLINK_SOCK_DIAG));
  switch (errnoName(destroyer.errnoOf(nobody))) {
    case "ENOENT":
      return "yes";
    // Built without CONFIG_INET_DIAG_DESTROY, or an older kernel (EINVAL for the message type).
    case "EOPNOTSUPP":
    case "EINVAL":
      return "no";
    default:
      return "unknown";
  }
}

function probeDiagCgroup(): Answer {
  const [socket] = listSockets({ states: ["LISTEN"] });
  if (socket === undefined) return "unknown";
  return socket.cgroupId === null ? "no" : "yes";
}

function probePidfdGetfd(): Answer {
  const pidfd = libc().syscall(syscallNumbers.pidfdOpen, process.pid, 0, 0, 0);
  if (pidfd < 0) return missingCall();
  using own = new OwnedFd(pidfd);
  // There is no descriptor -1: a kernel that has the call says EBADF.
  libc().syscall(syscallNumbers.pidfdGetfd, own.fd, -1, 0, 0);
  return missingCall();
}

/** ENOSYS is the only sure no: filters of a sandbox answer EPERM for what they do not know. */
function missingCall(): Answer {
  switch (errnoName(lastErrno())) {
    case "ENOSYS":
      return "no";
    case "EBADF":
      return "yes";
    default:
      return "unknown";
  }
}

function probeRtoMax(): Answer {
  using socket = new OwnedFd(check(libc().socket(AF_INET, SOCK_STREAM, IPPROTO_TCP), "socket"));
  return readSettings(socket.fd).rtoMaxMs === null ? "no" : "yes";
}
