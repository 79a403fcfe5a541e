/**
 * No time yet. Not a plain 0: V8 takes that for a small integer, and rebuilds all it has compiled when the first time that is none
 * comes along.
 */
export const noTime = -0;
