// Connections of all kinds for faults.test.ts. Arguments: where the server is, over IPv4 and IPv6, and options as JSON.
import { LongConnection, type LongConnectionOptions } from "../../../src/client/index.js";

const [, , four = "", six = "", json = "{}"] = process.argv;
const options = JSON.parse(json) as Partial<LongConnectionOptions>;
const key = Buffer.alloc(32, 7);
const tls = { rejectUnauthorized: false };
const ways: Record<string, LongConnectionOptions> = {
  "tcp 4": { to: `tcp://${four}:7443` },
  "tcp 6": { to: `tcp://[${six}]:7443` },
  "tls 4": { to: `tls://${four}:7444`, tls },
  "tls 6": { to: `tls://[${six}]:7444`, tls },
  "udp 4": { to: `udp://${four}:7445`, key },
  "udp 6": { to: `udp://[${six}]:7445`, key },
  "udp 4 from tls": { to: `udp://${four}:7445`, greetAt: `tls://${four}:7444`, tls },
  "tcp 4 by proxy": { to: `tcp://${four}:7500` },
  "tls 4 by proxy": { to: `tls://${four}:7501`, tls },
  "udp 4 by proxy": { to: `udp://${four}:7502`, key },
};
const only = process.env["ONLY_WAYS"]?.split(",") ?? [];
for (const [way, where] of Object.entries(ways)) {
  if (!only.includes(way)) continue;
  const tell = (event: string, more: object = {}): void => {
    console.log(JSON.stringify({ at: Date.now(), event, way, ...more }));
  };
  const connection = new LongConnection({
    backoff: { first: "100ms", most: "500ms" },
    connectTimeout: "2s",
    ...where,
    ...options,
  });
  connection.send(way);
  connection.on("online", ({ resumed }) => tell("online", { resumed }));
  connection.on("offline", ({ state, sentence }) => {
    tell("offline", { state, sentence });
  });
  connection.on("retry", ({ problem }) => tell("retry", { problem }));
  if (options.adaptive !== undefined)
    setInterval(() => tell("interval", { ms: connection.heartbeat?.settings.idleMs }), 500);
}
