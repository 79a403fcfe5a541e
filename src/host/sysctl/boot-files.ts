import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** sysctl.d(5): a file hides one of the same name in a directory further down. /lib only counts where it is not /usr/lib. */
const directories = [
  "/etc/sysctl.d",
  "/run/sysctl.d",
  "/usr/local/lib/sysctl.d",
  "/usr/lib/sysctl.d",
  "/lib/sysctl.d",
];

const sysctlConf = "/etc/sysctl.conf";

/** A file that sets sysctls when the machine boots. */
export interface BootFile {
  readonly path: string;
  readonly text: string;
}

/** A line that gives a sysctl its value at boot. */
export interface BootLine {
  readonly path: string;
  readonly line: number;
  readonly value: string;
}

/**
 * The files in the order in which they are applied: by name, whatever the directory. One that cannot be read is left out, as
 * the boot's own reader leaves it out.
 *
 * @param supposed a file as it would be: with another text, or not there (null).
 */
export function readBootFiles(supposed?: {
  readonly path: string;
  readonly text: string | null;
}): BootFile[] {
  const paths = new Map<string, string>();
  for (const directory of directories)
    for (const path of listed(directory, supposed)) {
      const name = basename(path);
      if (name.endsWith(".conf") && !paths.has(name)) paths.set(name, path);
    }
  const ordered = [...paths.entries()]
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([, path]) => path);
  // systemd reads /etc/sysctl.conf only where a link in sysctl.d leads to it; other boots run `sysctl --system`, which reads
  // it last. sd_booted(3) names this test for systemd.
  if (!existsSync("/run/systemd/system") && !ordered.some((path) => resolved(path) === sysctlConf))
    ordered.push(sysctlConf);
  return ordered.flatMap((path) => {
    if (path === supposed?.path && supposed.text !== null) return [{ path, text: supposed.text }];
    try {
      return [{ path: resolved(path), text: readFileSync(path, "utf8") }];
    } catch {
      return [];
    }
  });
}

function listed(directory: string, supposed: { path: string; text: string | null } | undefined): string[] {
  let paths: string[] = [];
  try {
    paths = readdirSync(directory).map((name) => join(directory, name));
  } catch {
    // Most of the directories do not exist on most machines.
  }
  if (supposed === undefined || dirname(supposed.path) !== directory) return paths;
  const others = paths.filter((path) => path !== supposed.path);
  return supposed.text === null ? others : [...others, supposed.path];
}

/** The file that a person would edit. */
function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

interface Assignment {
  readonly key: string;
  /** null: the key is excluded from globs. */
  readonly value: string | null;
  readonly path: string;
  readonly line: number;
}

/**
 * The line that decides what a sysctl is after a boot, or null if none sets it. An explicit key beats every glob and the
 * last of equals wins (sysctl.d(5), "Configuration format").
 *
 * @param name dotted, e.g. `net.ipv4.tcp_keepalive_time`
 */
export function bootLine(files: readonly BootFile[], name: string): BootLine | null {
  const key = normalized(name);
  // As systemd-sysctl keeps them: a key that is given again moves to the end, unless its value stays the same.
  const byKey = new Map<string, Assignment>();
  for (const assignment of files.flatMap(parse)) {
    if (byKey.get(assignment.key)?.value === assignment.value) continue;
    byKey.delete(assignment.key);
    byKey.set(assignment.key, assignment);
  }
  const winner =
    byKey.get(key) ??
    // Only an explicit key can be excluded: "-net.ipv4.*" keeps nothing from another glob.
    [...byKey.values()].findLast(
      (assignment) =>
        assignment.value !== null && isGlob(assignment.key) && globPattern(assignment.key).test(key),
    );
  if (winner === undefined || winner.value === null) return null;
  return { path: winner.path, line: winner.line, value: winner.value };
}

function parse({ path, text }: BootFile): Assignment[] {
  return text.split("\n").flatMap((raw, index): Assignment[] => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) return [];
    const equals = line.indexOf("=");
    const left = (equals < 0 ? line : line.slice(0, equals)).trim();
    const key = normalized(left.replace(/^-/, ""));
    // Without "=" only "-key" means something: keep globs off it. Anything else the boot's reader logs and skips.
    if (equals < 0) return left.startsWith("-") ? [{ key, value: null, path, line: index + 1 }] : [];
    return [{ key, value: line.slice(equals + 1).trim(), path, line: index + 1 }];
  });
}

/** The first separator decides: after a slash the rest is literal, after a dot dots and slashes change places. */
function normalized(key: string): string {
  const first = /[./]/.exec(key)?.[0];
  const slashed =
    first === "."
      ? key.replaceAll(/[./]/g, (separator) => (separator === "." ? "/" : "."))
      : key.replace(/^\/+/, "");
  return slashed.replaceAll(/\/{2,}/g, "/");
}

const isGlob = (key: string): boolean => /[*?[]/.test(key);

/** glob(7): `*` and `?` stop at slashes. */
function globPattern(glob: string): RegExp {
  const pattern = glob.replaceAll(/\[!?\]?[^\]]*\]|[*?]|[^*?[]+|\[/g, (token) => {
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (token.startsWith("[") && token.endsWith("]"))
      return `[${token[1] === "!" ? `^${escaped(token.slice(2, -1))}` : escaped(token.slice(1, -1))}]`;
    return token.replaceAll(/[\\^$.|?*+()[\]{}]/g, "\\$&");
  });
  return new RegExp(`^${pattern}$`);
}

const escaped = (set: string): string => set.replaceAll(/[\\\]^]/g, "\\$&");
