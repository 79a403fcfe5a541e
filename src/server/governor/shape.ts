import { inspect } from "node:util";
import { nearest } from "../../plan/nearest.js";

/** Says what is wrong with a value, beginning with its name; null: nothing. */
export type Check = (value: unknown, name: string) => string | null;

/** The fields of an object. They may be left out, but for those that are `required`. */
export type Fields<T = Record<string, unknown>> = { readonly [K in keyof Required<T>]: Check };

const longestShown = 60;

/** A duration by its type; what it says is read by `durationMs`. */
export const duration = check(
  (value) => typeof value === "string" || typeof value === "number",
  'give a duration such as "5m", or milliseconds',
);
/** The same, or an object that somebody else looks at. */
export const durationOrObject = check(
  (value) => ["string", "number", "object"].includes(typeof value) && value !== null,
  'give a duration such as "35s", or an object',
);
export const yesOrNo = check((value) => typeof value === "boolean", "give true or false");
export const callable = check((value) => typeof value === "function", "give a function");
export const texts = check(
  (value) =>
    Array.isArray(value) && value.length > 0 && value.every((each: unknown) => typeof each === "string"),
  'give a list with networks in it, such as ["10.0.0.0/8"]',
);

/** A whole number, of which text that reads like one is none. */
export function whole(least: number, most = Number.MAX_SAFE_INTEGER): Check {
  const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`;
  return check(
    (value) => Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most,
    `give a whole number ${range}`,
  );
}

/** A finite number within what `test` says, and what to give instead. */
export function number(test: (value: number) => boolean, instead: string): Check {
  return check((value) => Number.isFinite(value) && test(value as number), instead);
}

export function oneOf(...allowed: readonly (string | number)[]): Check {
  return check(
    (value) => allowed.includes(value as string | number),
    `give ${allowed.map((each) => JSON.stringify(each)).join(" or ")}`,
  );
}

export const abortSignal = check((value) => value instanceof AbortSignal, "give an AbortSignal");

export function orNull(inner: Check): Check {
  return (value, name) => (value === null ? null : inner(value, name));
}

/** Must not be left out. */
export function required(inner: Check): Check {
  return (value, name) => (value === undefined ? `${name}: is missing` : inner(value, name));
}

/** An object with these fields, or, where there is one, what else may stand in its place. */
export function object(fields: Fields, instead: string, inPlace?: Check): Check {
  const isObject = check(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    instead,
  );
  return (value, name) => {
    if (value === undefined || inPlace?.(value, name) === null) return null;
    return isObject(value, name) ?? problemIn(value as object, fields, `${name}.`);
  };
}

/** The first thing that is wrong with an object of options. */
export function problemIn(given: object, fields: Fields, prefix = ""): string | null {
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(fields, key)) continue;
    const near = nearest(key, Object.keys(fields));
    return `${prefix}${key}: is not known${near === undefined ? "" : `; did you mean "${near}"?`}`;
  }
  for (const [key, field] of Object.entries(fields)) {
    const problem = field((given as Record<string, unknown>)[key], `${prefix}${key}`);
    if (problem !== null) return problem;
  }
  return null;
}

/** What is left out is as it should be. */
function check(test: (value: unknown) => boolean, instead: string): Check {
  return (value, name) =>
    value === undefined || test(value) ? null : `${name}: ${shown(value)} is not allowed here; ${instead}`;
}

/** As it stands in the program, if that is short. */
function shown(value: unknown): string {
  const text =
    typeof value === "string"
      ? JSON.stringify(value)
      : inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY });
  return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}
