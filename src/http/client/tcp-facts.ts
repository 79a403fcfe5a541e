import type { Socket } from "node:net";
import { baseFd } from "../../guard/inner-socket.js";
import { libcProblem } from "../../kernel/libc.js";
import { peekTcpInfo } from "../../kernel/tcp-info.js";

/** What the kernel knows about a connection that matters to whoever wants to use it again. */
export interface TcpFacts {
  /** null: it has measured none. */
  readonly roundTripMs: number | null;
  /** False once the peer's FIN or RST has arrived, which Node may not have read yet. */
  readonly open: boolean;
}

/** null: cannot be asked, for it is no TCP socket, has no descriptor any more, or there is no Linux or no koffi. */
export function tcpFacts(socket: Socket): TcpFacts | null {
  const fd = baseFd(socket);
  if (fd < 0 || libcProblem() !== null) return null;
  try {
    const { rttUs, state } = peekTcpInfo(fd);
    return { roundTripMs: rttUs === 0 ? null : rttUs / 1_000, open: state === "ESTABLISHED" };
  } catch {
    return null;
  }
}
