/** How sure a catalogue entry is: read in the named source, told by somebody else, or from memory and not looked up again. */
export type Evidence = "documented" | "third-party" | "recalled";
