import { DeadpeerError } from "../../errors.js";
import { DestroyNotices } from "../../kernel/destroy-notices.js";
import {
  allNamespaces,
  currentNamespace,
  inNamespace,
  type NetworkNamespace,
} from "../../kernel/namespaces.js";
import { readSystemDefaults } from "../../kernel/sysctl.js";
import type { SystemDefaults } from "../../plan/settings.js";

/** A network namespace that is watched. */
export interface WatchedPlace {
  /** The path is one that led there when the namespaces were last looked for: processes end. */
  namespace: NetworkNamespace;
  /** Whether it is this process's own. */
  readonly own: boolean;
  /** What decides for sockets that do not decide themselves, when it was found. */
  readonly system: SystemDefaults;
  /** null where the kernel sends none. */
  readonly notices: DestroyNotices | null;
  /** Looks at its list of sockets so far. */
  looks: number;
  /** When the next one is due, in milliseconds of CLOCK_MONOTONIC. */
  dueMs: number;
}

/** The network namespaces that there are, as they come and go. */
export class Places implements Disposable {
  readonly #places = new Map<string, WatchedPlace>();
  readonly #isWanted: (namespace: NetworkNamespace) => boolean;
  readonly #own = currentNamespace().id;
  /** Those that somebody was met in: a namespace that may not be entered is not looked for again and again. */
  readonly #met = new Set<string>();
  #unseen = 0;

  constructor(isWanted: (namespace: NetworkNamespace) => boolean) {
    this.#isWanted = isWanted;
  }

  /** Namespaces that may not be entered, and processes whose namespace may not be seen. */
  get unseen(): number {
    return this.#unseen;
  }

  /** Whether somebody was met in a namespace that nobody has looked for yet. */
  isNews(id: string | null): boolean {
    if (id === null || this.#places.has(id) || this.#met.has(id)) return false;
    this.#met.add(id);
    return true;
  }

  get size(): number {
    return this.#places.size;
  }

  /** By the namespace's id. */
  get(id: string): WatchedPlace | undefined {
    return this.#places.get(id);
  }

  [Symbol.iterator](): IterableIterator<WatchedPlace> {
    return this.#places.values();
  }

  /**
   * Finds out which there are now. One that nobody else uses any more is let go at once: what we hold open in it keeps it, and its
   * interfaces, alive.
   *
   * @returns those that are gone.
   */
  discover(): WatchedPlace[] {
    const { namespaces, unreadable } = allNamespaces();
    const wanted = namespaces.filter(this.#isWanted);
    const present = new Set(wanted.map(({ id }) => id));
    const gone = [...this.#places.values()].filter(({ namespace }) => !present.has(namespace.id));
    for (const place of gone) {
      place.notices?.close();
      this.#places.delete(place.namespace.id);
      this.#met.delete(place.namespace.id);
    }
    this.#unseen = unreadable;
    for (const namespace of wanted) this.#add(namespace);
    return gone;
  }

  /** Ends one that turns out to be gone. */
  drop(place: WatchedPlace): void {
    place.notices?.close();
    this.#places.delete(place.namespace.id);
  }

  #add(namespace: NetworkNamespace): void {
    const known = this.#places.get(namespace.id);
    if (known !== undefined) {
      known.namespace = namespace;
      return;
    }
    const own = namespace.id === this.#own;
    try {
      const system = own ? readSystemDefaults() : inNamespace(namespace, readSystemDefaults);
      const notices = openNotices(own ? undefined : namespace);
      this.#places.set(namespace.id, { namespace, own, system, notices, looks: 0, dueMs: 0 });
    } catch (error) {
      if (!(error instanceof DeadpeerError)) throw error;
      if (error.code === "permission-denied") this.#unseen++;
      else if (error.code !== "no-namespace") throw error;
    }
  }

  [Symbol.dispose](): void {
    for (const place of this.#places.values()) place.notices?.close();
    this.#places.clear();
  }
}

function openNotices(namespace: NetworkNamespace | undefined): DestroyNotices | null {
  try {
    return DestroyNotices.open(namespace);
  } catch (error) {
    if (error instanceof DeadpeerError && error.code === "feature-missing") return null;
    throw error;
  }
}
