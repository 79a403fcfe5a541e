/** Something that nobody needs any more. */
export interface Leftover {
  /** For people: `network namespace`, `temporary file`. */
  readonly what: string;
  readonly name: string;
  /** Why nobody needs it. */
  readonly why: string;
  /** @throws DeadpeerError, or what the file system throws. */
  readonly remove: () => Promise<void> | void;
}

/** Something of ours that stays. */
export interface Kept {
  readonly what: string;
  readonly name: string;
  /** Why it stays. */
  readonly why: string;
  /** The command that ends it; null: it ends by itself. */
  readonly undo: string | null;
}

/** What there is of one kind. */
export interface Traces {
  readonly leftovers: readonly Leftover[];
  readonly kept: readonly Kept[];
}

/** Looks for traces of one kind. `subject` is what could not be looked for if it throws. */
export interface Search {
  readonly subject: string;
  readonly look: (options: SearchOptions) => Promise<Traces> | Traces;
}

export interface SearchOptions {
  /** Policies that were asked for are to go as well. */
  readonly all: boolean;
}
