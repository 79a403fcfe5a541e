/** Options of runtimes that take the word behind them. */
const takesNext: Readonly<Record<string, ReadonlySet<string>>> = {
  node: new Set(["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"]),
  python: new Set(["-X", "-W"]),
  java: new Set([
    "-cp",
    "-classpath",
    "--class-path",
    "-p",
    "--module-path",
    "--add-modules",
    "--upgrade-module-path",
  ]),
  ruby: new Set(["-r", "-I", "-C"]),
  perl: new Set(["-I"]),
  php: new Set(["-c", "-d", "-z"]),
};

/** Options behind which stands what is run, in place of a file. */
const names: Readonly<Record<string, ReadonlySet<string>>> = {
  python: new Set(["-m"]),
  java: new Set(["-jar", "-m", "--module"]),
  php: new Set(["-f"]),
};

/** Options behind which the program itself stands, which has no name. */
const inline: Readonly<Record<string, ReadonlySet<string>>> = {
  node: new Set(["-e", "--eval", "-p", "--print", "-i"]),
  python: new Set(["-c"]),
  ruby: new Set(["-e"]),
  perl: new Set(["-e", "-E"]),
  php: new Set(["-r"]),
};

/**
 * What a runtime was told to run.
 *
 * @param runtime as KnownProgram.id.
 * @param words its arguments, its own name first.
 * @returns null: nothing, or a program without a name.
 * @example scriptOf("java", ["java", "-cp", "lib/*", "kafka.Kafka", "server.properties"]) // "kafka.Kafka"
 */
export function scriptOf(runtime: string, words: readonly string[]): string | null {
  for (let index = 1; index < words.length; index++) {
    const word = words[index] ?? "";
    if (inline[runtime]?.has(word) === true) return null;
    if (names[runtime]?.has(word) === true) return words[index + 1] ?? null;
    if (takesNext[runtime]?.has(word) === true) index++;
    else if (!word.startsWith("-") && word !== "") return word;
  }
  return null;
}
