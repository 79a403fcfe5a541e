/** Sends a request to an origin; which request of its connection it was, from 1, as the server counts them. */
export type Ask = (origin: string) => Promise<number>;

/** What became of the requests of a race. */
export interface RaceResult {
  readonly requests: number;
  /** How many failed, by code. */
  readonly errors: Readonly<Record<string, number>>;
  /** How many went over a connection that had been used before. */
  readonly reused: number;
}

export interface RaceOptions {
  readonly requests: number;
  /** For how long the server keeps an idle connection. */
  readonly keptMs: number;
  /** Ends after so many errors. */
  readonly enough?: number;
}

/**
 * Requests at the worst moment: each origin has one connection, which lies idle for just as long as its server keeps it. Each finds that
 * moment for itself: after a request that came too late for its connection the next one waits shorter, after one in time, longer.
 */
export async function race(
  ask: Ask,
  origins: readonly string[],
  { requests, keptMs, enough = Infinity }: RaceOptions,
): Promise<RaceResult> {
  const errors: Record<string, number> = {};
  let sent = 0;
  let reused = 0;
  let failed = 0;
  const run = async (origin: string, index: number): Promise<void> => {
    // A start spread over 8 ms, for not all servers and machines are late by the same.
    let idleMs = keptMs + (index % 9) - 4;
    let stepMs = 8;
    let wasInTime: boolean | null = null;
    while (sent < requests && failed < enough) {
      sent += 1;
      try {
        const inTime = (await ask(origin)) > 1;
        if (inTime) reused += 1;
        if (wasInTime !== null && wasInTime !== inTime) stepMs = Math.max(0.5, stepMs / 2);
        wasInTime = inTime;
        idleMs += inTime ? stepMs : -stepMs;
      } catch (error) {
        const name = codeOf(error);
        errors[name] = (errors[name] ?? 0) + 1;
        failed += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.round(idleMs + (sent % 3) - 1)));
    }
  };
  await Promise.all(origins.map(run));
  return { requests: sent, errors, reused };
}

/** Requests one after the other, over so many connections side by side, until told to stop. */
export async function load(ask: Ask, origin: string, atOnce: number, stop: AbortSignal): Promise<RaceResult> {
  const errors: Record<string, number> = {};
  let requests = 0;
  let reused = 0;
  const run = async (): Promise<void> => {
    while (!stop.aborted) {
      requests += 1;
      try {
        if ((await ask(origin)) > 1) reused += 1;
      } catch (error) {
        const name = codeOf(error);
        errors[name] = (errors[name] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, run));
  return { requests, errors, reused };
}

/** Loopback addresses, each of which is an origin of its own to a client. */
export function loopbackOrigins(count: number, port: number): string[] {
  return Array.from(
    { length: count },
    (_, index) => `http://127.0.${1 + Math.floor(index / 250)}.${1 + (index % 250)}:${port}`,
  );
}

function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
