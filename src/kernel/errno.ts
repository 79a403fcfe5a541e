import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

const names = new Map<number, string>(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);
// EWOULDBLOCK is EAGAIN and EOPNOTSUPP is ENOTSUP on Linux; keep the names that strace and errno(3) print.
names.set(constants.errno.EAGAIN, "EAGAIN");
names.set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP");

/** The name of an errno, e.g. 110 → `ETIMEDOUT` on Linux; `errno 4711` for one that has no name here. */
export function errnoName(errno: number): string {
  return names.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;
}

/** What an errno means in words, e.g. `connection timed out`. */
export function errnoText(errno: number): string {
  return getSystemErrorMap().get(-Math.abs(errno))?.[1] ?? "the system gave no reason";
}
