import { errnoName, errnoText } from "../../kernel/errno.js";

/** The error that Node's own socket gives for a read or write that failed. */
export function transferError({
  errno,
  syscall,
}: {
  readonly errno: number;
  readonly syscall: "read" | "write";
}): NodeJS.ErrnoException {
  const code = errnoName(errno);
  const message = `${syscall} ${code}: ${errnoText(errno)}`;
  return Object.assign(new Error(message), { code, errno: -errno, syscall });
}
