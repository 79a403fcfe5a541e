/** How a forgotten connection shows: nothing comes back, or a reset does. */
export type LossKind = "silent" | "reset";

/** Who broke a silence before its time: the other side closed the connection in order, or it said something by itself. */
export type Interruption = "closed" | "spoken";

/** What became of one connection that was to be left silent for a time. */
export type Outcome =
  /** It was answered after at least this silence. */
  | { readonly kind: "survived"; readonly silentMs: number }
  /** It was lost after at most this silence. */
  | {
      readonly kind: "lost";
      readonly how: LossKind;
      readonly silentMs: number;
      /** The reset came while nobody spoke. */
      readonly unasked?: true;
    }
  /** Something arrived after at least this silence. */
  | { readonly kind: "interrupted"; readonly by: Interruption; readonly silentMs: number }
  /** It says nothing: the path was down meanwhile, the machine slept, or the connection never stood. */
  | { readonly kind: "void" };
