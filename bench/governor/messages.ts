/** What the bench asks its server. */
export type ServerCommand = "collect";

/** And what that says: where it listens, or what it holds after a collection. */
export type ServerAnswer = { readonly port: number } | { readonly heapBytes: number };
