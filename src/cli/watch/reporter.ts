import type { HostWatch, WatchSight } from "../../host/watch/host-watch.js";
import type { Obituary } from "../../host/watch/obituary.js";
import { formatDuration } from "../../plan/duration.js";
import { type VerdictState, verdictStates } from "../../verdict/finding.js";
import { have } from "../../kernel/capabilities.js";
import { counted } from "../counted.js";
import { note } from "../note.js";
import type { Commands } from "./exec.js";

const periodMs = 1_000;

/** Says on stderr what a watch sees and what it misses, at the time, and at the end all of it once more. */
export class Reporter implements Disposable {
  readonly #watch: HostWatch;
  readonly #began = performance.now();
  readonly #counts = new Map<VerdictState, number>();
  readonly #said = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #before: WatchSight;

  constructor(watch: HostWatch) {
    this.#watch = watch;
    this.#before = watch.sight;
    const { connections, namespaces } = this.#before;
    note(`watching ${counted(connections, "connection")} in ${counted(namespaces, "network namespace")}`);
    this.#sayGaps(this.#before);
    this.#timer = setInterval(() => this.#look(), periodMs);
  }

  count({ verdict: { state } }: Obituary): void {
    this.#counts.set(state, (this.#counts.get(state) ?? 0) + 1);
  }

  /** What there was, in one line. */
  summarise(commands: Commands | null): void {
    this.#look();
    const { lostEvents, dropped } = this.#before;
    const deaths = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    const each = verdictStates
      .filter((state) => this.#counts.has(state))
      .map((state) => `${this.#counts.get(state)} ${state}`)
      .join(", ");
    const parts = [
      `${counted(deaths, "death")} in ${formatDuration(performance.now() - this.#began)}${each === "" ? "" : `: ${each}`}`,
      `${lostEvents === 0 ? "no" : lostEvents} events lost`,
      ...(dropped === 0 ? [] : [`${dropped} deaths not told`]),
      ...(commands === null ? [] : [commandsText(commands)]),
    ];
    note(parts.join("; "));
  }

  #look(): void {
    const { lostEvents, lostLastWords, dropped } = this.#before;
    const now = this.#watch.sight;
    this.#before = now;
    if (now.lostEvents > lostEvents)
      note(
        `${now.lostEvents - lostEvents} events came faster than they could be read and are lost: deaths among them are told late, from the kernel's lists, or not at all`,
      );
    if (now.lostLastWords > lostLastWords)
      note("sockets' last figures came faster than they could be read: some are those of a moment before");
    if (now.dropped > dropped)
      note(`${now.dropped - dropped} deaths were not told: whoever reads this takes too long`);
    this.#sayGaps(now);
  }

  /** Each once: how many namespaces are hidden changes all the time. */
  #sayGaps({ source, gaps, unseenNamespaces }: WatchSight): void {
    const hidden =
      source === "trace"
        ? "some processes hide their network namespace: of connections in it only the kernel's events tell, without figures"
        : have("CAP_SYS_PTRACE") !== "no"
          ? "some processes hide their network namespace: connections in it are not watched"
          : "network namespaces of other users' processes are not watched; that needs CAP_SYS_ADMIN, run as root";
    for (const gap of unseenNamespaces > 0 ? [...gaps, hidden] : gaps) {
      if (this.#said.has(gap)) continue;
      this.#said.add(gap);
      note(gap);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function commandsText({ started, failed, dropped }: Commands): string {
  return [
    `${counted(started, "command")} run`,
    ...(failed === 0 ? [] : [`${failed} of them failed`]),
    ...(dropped === 0 ? [] : [`${dropped} not run`]),
  ].join(", ");
}
