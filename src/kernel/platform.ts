import { DeadpeerError } from "../errors.js";

/**
 * Refuses to go on where there is no Linux: the files below /proc and /sys would only be "not found".
 *
 * @param what begins the sentence, e.g. `sysctls`.
 * @throws DeadpeerError `platform-unsupported` off Linux.
 */
export function requireLinux(what: string): void {
  if (process.platform === "linux") return;
  throw new DeadpeerError(
    "platform-unsupported",
    `${what}: only Linux has them; this is ${process.platform}`,
  );
}
