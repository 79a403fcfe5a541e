import { z } from "zod";
import { nearest } from "../../plan/nearest.js";

export interface Problem {
  /** `$.steps[2].drop.from` */
  readonly path: string;
  readonly message: string;
}

type Path = readonly PropertyKey[];

/** @example pathText(["steps", 2, "drop"]) // "$.steps[2].drop" */
export function pathText(path: Path): string {
  return `$${path
    .map((part) => {
      if (typeof part === "number") return `[${part}]`;
      return /^[\w$]+$/.test(String(part)) ? `.${String(part)}` : `[${JSON.stringify(part)}]`;
    })
    .join("")}`;
}

/** ` did you mean "server"?`, and what else there is. */
export function suggestion(wrong: string, allowed: readonly string[]): string {
  if (allowed.length === 0) return "";
  const near = nearest(wrong, allowed);
  return `; did you mean "${near}"? (${allowed.join(", ")})`;
}

/** The first thing that is wrong, in words that say what is allowed there. */
export function firstProblem(schema: z.ZodType, error: z.ZodError, json: unknown): Problem {
  const issue = error.issues[0];
  if (issue === undefined) return { path: "$", message: "is not a scenario" };
  return explain(schema, issue, issue.path, json);
}

type Issue = z.core.$ZodIssue;

function explain(schema: z.ZodType, issue: Issue, path: Path, json: unknown): Problem {
  const where = schemaAt(schema, issue.path, json);
  switch (issue.code) {
    case "invalid_union":
      return explainUnion(where, issue, path, valueAt(json, issue.path));
    case "unrecognized_keys": {
      const key = issue.keys[0] ?? "";
      return {
        path: pathText([...path, key]),
        message: `is not known here${suggestion(key, keysOf(where))}`,
      };
    }
    case "invalid_value": {
      const allowed = issue.values.map(String);
      const value = valueAt(json, issue.path);
      return {
        path: pathText(path),
        message:
          typeof value === "string"
            ? `"${value}" is not one of the values${suggestion(value, allowed)}`
            : `has to be one of ${allowed.join(", ")}`,
      };
    }
    case "invalid_type": {
      const value = valueAt(json, issue.path);
      return {
        path: pathText(path),
        message:
          value === undefined
            ? `is missing: ${issue.expected}`
            : `has to be ${article(issue.expected)}, not ${JSON.stringify(value)?.slice(0, 40)}`,
      };
    }
    case "invalid_format": {
      return {
        path: pathText(path),
        message: `${JSON.stringify(valueAt(json, issue.path))}: ${issue.message}`,
      };
    }
    case "invalid_key":
      return { path: pathText(path), message: issue.issues[0]?.message ?? issue.message };
    default:
      return {
        path: pathText(path),
        message: issue.message.replace(/^Invalid input: /, "").replace(/^Too /, "too "),
      };
  }
}

/** Steps and expectations: the one that was meant is the one whose own key is there. */
function explainUnion(
  where: z.ZodType | null,
  issue: Extract<Issue, { code: "invalid_union" }>,
  path: Path,
  value: unknown,
): Problem {
  const options = where instanceof z.ZodUnion ? (where.options as readonly z.ZodType[]) : [];
  const own = ownKeys(options);
  const given =
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : null;
  if (given === null || own.length === 0) {
    // A plain choice, such as a number or a pair of numbers.
    const kinds = issue.errors.map(([first]) =>
      first?.code === "invalid_type" ? article(first.expected) : first?.message,
    );
    return { path: pathText(path), message: `has to be ${[...new Set(kinds)].join(" or ")}` };
  }
  const chosen = own.filter((key) => given.includes(key));
  if (chosen.length === 0) {
    const common = options[0] === undefined ? [] : keysOf(options[0]).filter((key) => !own.includes(key));
    const stray = given.find((key) => !common.includes(key));
    return stray === undefined
      ? {
          path: pathText(path),
          message: `says nothing to do or to see: one of ${own.join(", ")} belongs here`,
        }
      : {
          path: pathText([...path, stray]),
          message: `is not known here${suggestion(stray, [...own, ...common])}`,
        };
  }
  if (chosen.length > 1)
    return { path: pathText(path), message: `has ${chosen.join(" and ")}: only one of them can stand here` };
  const index = own.indexOf(chosen[0] as string);
  const inner = issue.errors[index]?.[0];
  if (inner === undefined) return { path: pathText(path), message: issue.message };
  return explain(options[index] as z.ZodType, inner, [...path, ...inner.path], value);
}

/** The key by which each option of a union of objects differs from the others. */
function ownKeys(options: readonly z.ZodType[]): string[] {
  const keys = options.map(keysOf);
  return keys
    .map((mine) => mine.find((key) => keys.every((other) => other === mine || !other.includes(key))))
    .filter((key) => key !== undefined);
}

/** The option whose own key is there. */
function meant(options: readonly z.ZodType[], value: unknown): z.ZodType | null {
  const index = ownKeys(options).findIndex((key) => Object.hasOwn(Object(value), key));
  return options[index] ?? null;
}

function keysOf(schema: z.ZodType | null): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

/** The schema for the value at a path, as far as it can be found. */
function schemaAt(schema: z.ZodType, path: Path, json: unknown): z.ZodType | null {
  let at: z.ZodType | null = bare(schema);
  let value = json;
  for (const part of path) {
    if (at instanceof z.ZodUnion) at = meant(at.options as readonly z.ZodType[], value);
    value = (value as Record<PropertyKey, unknown> | undefined)?.[part];
    if (at instanceof z.ZodObject) at = (at.shape as Record<PropertyKey, z.ZodType>)[part] ?? null;
    else if (at instanceof z.ZodArray) at = at.element as z.ZodType;
    else if (at instanceof z.ZodRecord) at = at.valueType as z.ZodType;
    else if (at instanceof z.ZodTuple) at = (at.def.items[part as number] as z.ZodType | undefined) ?? null;
    else return null;
    at = at === null ? null : bare(at);
  }
  return at;
}

function bare(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable)
    return bare(schema.unwrap() as z.ZodType);
  if (schema instanceof z.ZodPipe) return bare(schema.in as z.ZodType);
  return schema;
}

function valueAt(json: unknown, path: Path): unknown {
  let value = json;
  for (const part of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[part];
  return value;
}

function article(kind: string): string {
  return /^[aeiou]/.test(kind) ? `an ${kind}` : `a ${kind}`;
}
