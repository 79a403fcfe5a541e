import { type AgentOptions, type ClientRequest, Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent, type AgentOptions as HttpsAgentOptions } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { AgentReuse } from "./agent-reuse.js";
import type { ReuseFigures } from "./figures.js";
import { showFigures } from "./metrics.js";
import type { AgentInternals, AgentRequestOptions, RequestInternals } from "./node-internals.js";
import { type KeepAliveOptions, keepAliveSettings, splitOptions } from "./options.js";

/** deadpeer's options, and all that Node's agent takes but its own of keep-alive. */
export type KeepAliveAgentOptions = KeepAliveOptions & Omit<AgentOptions, "keepAlive" | "keepAliveMsecs">;
export type KeepAliveHttpsAgentOptions = KeepAliveOptions &
  Omit<HttpsAgentOptions, "keepAlive" | "keepAliveMsecs">;

/** An http.Agent whose connections are used again only while their server keeps them; made by `createAgent`. */
export interface KeepAliveAgent extends HttpAgent {
  /** How connections were used so far. */
  readonly figures: ReuseFigures;
}

/** The same for https:; made by `createHttpsAgent`. */
export interface KeepAliveHttpsAgent extends HttpsAgent {
  readonly figures: ReuseFigures;
}

type AgentClass<Made> = new (options: object) => Made;

/** One of Node's two agents, with reuse as deadpeer does it. */
function reusing<Made>(
  base: AgentClass<Made>,
  scheme: "http:" | "https:",
): AgentClass<Made & KeepAliveAgent> {
  const made = class extends (base as unknown as AgentClass<AgentInternals>) {
    readonly #reuse: AgentReuse;
    readonly #release: () => void;

    constructor(options: KeepAliveOptions) {
      const { own, rest } = splitOptions(options);
      const settings = keepAliveSettings(own);
      super({ ...rest, keepAlive: true });
      const reuse = new AgentReuse(this, scheme, settings);
      const { registry, name } = own;
      this.#reuse = reuse;
      this.#release =
        registry === undefined ? () => {} : showFigures(registry, name ?? "default", reuse.count);
    }

    get figures(): ReuseFigures {
      return this.#reuse.count.snapshot();
    }

    override addRequest(request: ClientRequest, options: AgentRequestOptions): void {
      this.#reuse.choose(request, options, () => super.addRequest(request, options));
    }

    override getName(options?: object): string {
      const name = super.getName(options);
      this.#reuse.named(name);
      return name;
    }

    override createConnection(options: object, callback?: never): Duplex | null | undefined {
      const socket = super.createConnection(options, callback);
      this.#reuse.made(socket as Socket, options);
      return socket;
    }

    /** @returns false: Node is not to keep it. In place of Node's own, which would also set the keepalive of TCP anew, and with that undo the guard's. */
    override keepSocketAlive(socket: Duplex): boolean {
      const { _httpMessage } = socket as { readonly _httpMessage?: RequestInternals | null };
      const header = _httpMessage?.res?.headers["keep-alive"];
      const budgetMs = this.#reuse.freed(socket, header === undefined ? "" : String(header));
      if (budgetMs <= 0) return false;
      (socket as Socket).unref();
      // Node's agents destroy an idle socket at its timeout.
      (socket as Socket).setTimeout(Math.ceil(budgetMs));
      return true;
    }

    override reuseSocket(socket: Duplex, request: ClientRequest): void {
      super.reuseSocket(socket, request);
      (socket as Socket).setTimeout(this.options.timeout ?? 0);
    }

    override destroy(): void {
      this.#release();
      super.destroy();
    }
  };
  return made as unknown as AgentClass<Made & KeepAliveAgent>;
}

const ReusingHttpAgent = reusing(HttpAgent, "http:");
const ReusingHttpsAgent = reusing(HttpsAgent, "https:");

/**
 * An agent for node:http, and for what stands on it (axios, got): an idle connection is used no longer than its server keeps it, as for
 * `createDispatcher`; before it is used the kernel is asked whether it still stands; each is guarded. A request whose reused connection
 * was closed all the same goes over a new one, if its method is idempotent or it bears an Idempotency-Key, and no more than 64 KiB of its
 * body have been written.
 *
 * @throws DeadpeerError `bad-option`, `bad-duration`; what planDetection throws.
 * @example
 * const agent = createAgent({ detect: { detectWithin: "35s" } });
 * http.get("http://api.example.com/", { agent }, (response) => response.resume());
 */
export function createAgent(options: KeepAliveAgentOptions = {}): KeepAliveAgent {
  return new ReusingHttpAgent(options);
}

/** The same for node:https; takes what https.Agent takes. Throws as `createAgent` does. */
export function createHttpsAgent(options: KeepAliveHttpsAgentOptions = {}): KeepAliveHttpsAgent {
  return new ReusingHttpsAgent(options);
}
