import { realpathSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { ProcessFacts } from "../../kernel/process-facts.js";
import type { StartCommand } from "./facts.js";

type Signs = Pick<ProcessFacts, "executable" | "arguments" | "folder" | "path" | "uid" | "gid" | "groups">;

/**
 * The words that start a process once more, as the user it runs as. Programs that show their state to ps(1) have written over
 * theirs; then there are none.
 *
 * @returns null also for an executable that is not there any more.
 */
export function startCommand(signs: Signs): StartCommand | null {
  const { executable, arguments: words, folder, uid, gid, groups } = signs;
  const [first = "", ...rest] = words;
  if (executable === null || executable.deleted || folder === null) return null;
  // Nobody would want to paste these.
  if (/\p{Cc}/u.test([...words, folder].join(""))) return null;
  const program = found(first, signs) ?? (isVersionOf(executable.path, first) ? executable.path : null);
  if (program === null) return null;
  // `run` needs root, and the program is not to become root by it.
  const asUser =
    uid === 0
      ? []
      : [
          "setpriv",
          `--reuid=${uid}`,
          `--regid=${gid}`,
          groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`,
          "--",
        ];
  return { words: [...asUser, program, ...rest], folder };
}

/** What the first word stands for, if that is the very file that runs: a virtual environment's python is one by its place alone. */
function found(first: string, { executable, folder, path }: Signs): string | null {
  if (first === "" || executable === null || folder === null) return null;
  if (first.includes("/")) return leadsTo(executable.path, resolve(folder, first)) ? first : null;
  const places = (path ?? "").split(":").filter((place) => place.startsWith("/"));
  return places.map((place) => join(place, first)).find((file) => leadsTo(executable.path, file)) ?? null;
}

function leadsTo(executable: string, file: string): boolean {
  try {
    return realpathSync(file) === executable;
  } catch {
    return false;
  }
}

/** A wrapper that became the real thing: `python3` for `/usr/bin/python3.11`. */
function isVersionOf(executable: string, first: string): boolean {
  const name = basename(first);
  return (
    name !== "" &&
    /^[\d.-]*$/.test(basename(executable).slice(name.length)) &&
    basename(executable).startsWith(name)
  );
}
