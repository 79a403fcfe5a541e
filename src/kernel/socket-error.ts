import { DeadpeerError } from "../errors.js";
import { errnoName } from "./errno.js";
import { syscallError } from "./libc.js";

/**
 * The error for a failed socket call: `no-socket` where the descriptor is closed or is something else than a TCP socket, else
 * as syscallError.
 */
export function socketError(errno: number, operation: string): DeadpeerError {
  const name = errnoName(errno);
  const problem = problems[name];
  if (problem === undefined) return syscallError(errno, operation);
  return new DeadpeerError("no-socket", `${operation}: ${problem}`, { operation, errno: name });
}

const problems: Readonly<Record<string, string>> = {
  EBADF: "the socket is already closed",
  ENOTSOCK: "this is not a socket",
  // How a Unix socket answers a TCP option, and an MPTCP socket those that it does not hand on.
  EOPNOTSUPP: "this is not a plain TCP socket",
  // How a UDP socket answers.
  ENOPROTOOPT: "this is not a TCP socket",
};
