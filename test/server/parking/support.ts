import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { baseFd } from "../../../src/guard/inner-socket.js";
import { duplicate } from "../../../src/kernel/socket-io.js";
import { systemClock } from "../../../src/kernel/clock.js";
import { Lot, type LotOptions, type Place } from "../../../src/server/parking/lot.js";
import type { HandedBack, Tenant, Terms } from "../../../src/server/parking/tenant.js";
import { until } from "../../support/until.js";

/** Terms under which nothing is due. */
export const easyTerms = (): Terms => ({
  heardMs: performance.now(),
  paidMs: 0,
  patienceMs: 600_000,
  sendEveryMs: 0,
  received: 7,
  acknowledged: 0,
});

/** A lot that takes sessions. */
export async function openLot(options: Partial<LotOptions> = {}): Promise<Lot> {
  const lot = new Lot({ clock: systemClock, capacity: 1_000, beatEveryMs: 1, ...options });
  await until(() => lot.open);
  return lot;
}

/** A pair of connected sockets, one of which can be parked. */
export interface Pair {
  readonly client: Socket;
  readonly accepted: Socket;
}

export class Pairs implements AsyncDisposable {
  readonly #server: Server;
  readonly #clients: Socket[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(): Promise<Pairs> {
    const server = createServer({ noDelay: true, pauseOnConnect: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Pairs(server);
  }

  async make(): Promise<Pair> {
    const client = connect({ port: (this.#server.address() as AddressInfo).port, host: "127.0.0.1" });
    this.#clients.push(client);
    client.setNoDelay(true).on("error", () => {});
    const [[accepted]] = (await Promise.all([once(this.#server, "connection"), once(client, "connect")])) as [
      [Socket],
      unknown,
    ];
    return { client, accepted };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The descriptor of a socket, whose own is closed. */
export function takeFd(socket: Socket): number {
  const fd = duplicate(baseFd(socket));
  socket.destroy();
  return fd;
}

/** A tenant that notes what it is told. */
export class Guest implements Tenant {
  back: HandedBack | null = null;

  handedBack(back: HandedBack): void {
    this.back = back;
  }

  /** @returns what it was told, and the socket again. */
  async returned(): Promise<{ back: HandedBack; socket: Socket }> {
    await until(() => this.back !== null);
    const back = this.back as unknown as HandedBack;
    return { back, socket: new Socket({ fd: back.fd ?? -1 }) };
  }
}

/** Parks one end of a new pair. */
export async function parkOne(
  lot: Lot,
  pairs: Pairs,
  terms: Partial<Terms> = {},
): Promise<{ client: Socket; guest: Guest; place: Place; fd: number }> {
  const { client, accepted } = await pairs.make();
  const guest = new Guest();
  const fd = takeFd(accepted);
  const place = lot.park(fd, guest, { ...easyTerms(), ...terms });
  if (place === null) throw new Error("the lot took nobody");
  return { client, guest, place, fd };
}
