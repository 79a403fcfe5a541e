import type { DiagSocket } from "../kernel/sock-diag.js";

/** What regime, detection and findings are made from: the part of the kernel's record that they look at. */
export interface SocketFacts
  extends Pick<DiagSocket, "inode" | "state" | "timer" | "local" | "remote" | "sendQueue" | "info"> {
  /** In decimal. */
  readonly cookie: string;
}
