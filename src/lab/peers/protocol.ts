import type { Settings } from "../../plan/settings.js";
import type { TcpInfo } from "../../kernel/tcp-info.js";
import type { Verdict } from "../../verdict/verdict.js";

/** What the lab tells a peer, one JSON object a line on its standard input. Its end ends the peer. */
export type Command =
  | {
      readonly do: "listen";
      readonly port: number;
      readonly as: "quiet" | "echo" | "deaf" | "chatter" | "half-open" | "proxy";
      readonly settings?: Settings;
      readonly everyMs?: number;
      readonly to?: string;
      readonly toPort?: number;
      readonly idleMs?: number;
    }
  | {
      readonly do: "connect";
      readonly connection: string;
      readonly to: string;
      readonly port: number;
      readonly settings: Settings;
      readonly halfOpen: boolean;
    }
  | ({ readonly do: "write"; readonly text?: string; readonly bytes?: number } & Talk)
  | ({ readonly do: "end" | "destroy" | "snapshot" } & Talk)
  | ({ readonly do: "set"; readonly settings: Settings } & Talk)
  | ({ readonly do: "heartbeat"; readonly everyMs: number; readonly misses: number } & Talk)
  | {
      readonly do: "exchange";
      readonly to: string;
      readonly port: number;
      readonly times: number;
      readonly connections: "one" | "each";
    };

interface Talk {
  /** All of the peer's connections without it. */
  readonly connection?: string;
}

interface At {
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What a peer tells the lab, one JSON object a line on its standard output. */
export type PeerEvent = At &
  (
    | { readonly event: "ready" | "listening" }
    | {
        readonly event: "connected" | "accepted";
        readonly connection: string;
        readonly local: string;
        readonly remote: string;
        /** As the kernel holds them. */
        readonly settings: Settings | null;
      }
    | { readonly event: "data"; readonly connection: string; readonly bytes: number; readonly text: string }
    | { readonly event: "end" | "close" | "drained"; readonly connection: string }
    | { readonly event: "error"; readonly connection: string; readonly errno: string }
    | { readonly event: "settings"; readonly connection: string; readonly settings: Settings | null }
    | { readonly event: "snapshot"; readonly connection: string; readonly info: TcpInfo }
    | { readonly event: "answered" | "missed"; readonly connection: string; readonly beat: number }
    | { readonly event: "verdict"; readonly connection: string; readonly verdict: Verdict }
    | {
        readonly event: "exchanged";
        readonly times: number;
        readonly tookMs: number;
        readonly connections: "one" | "each";
      }
    | { readonly event: "failed"; readonly message: string }
  );

type WithoutTime<T> = T extends unknown ? Omit<T, "at"> : never;

/** Tells the lab. Lines go out at once, so that an event's time and order are kept even if the peer is killed next. */
export function tell(event: WithoutTime<PeerEvent>): void {
  process.stdout.write(`${JSON.stringify({ at: Date.now(), ...event })}\n`);
}
