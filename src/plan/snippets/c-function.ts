/** One row of the table. */
export interface COption {
  readonly level: string;
  readonly name: string;
  readonly value: number;
  readonly comment?: string | undefined;
}

interface OptionsFunction {
  /** What the function does, in one sentence. */
  readonly comment: string;
  readonly includes: readonly string[];
  /** Lines after the includes. */
  readonly extra?: readonly string[];
  /** The type of a socket. */
  readonly socket?: string;
  /** What setsockopt's value must be cast to. */
  readonly cast?: string;
  readonly options: readonly COption[];
}

/** A C function that sets a table of int options on one socket and stops at the first that fails. */
export function optionsFunction({
  comment,
  includes,
  extra = [],
  socket = "int",
  cast = "",
  options,
}: OptionsFunction): string {
  return [
    ...includes.map((header) => `#include <${header}>`),
    ...extra,
    "",
    `/* ${comment} */`,
    `static int notice_dead_peer(${socket} fd) {`,
    "  static const struct { int level, name, value; } options[] = {",
    ...options.map(
      ({ level, name, value, comment }) =>
        `    {${level}, ${name}, ${value}},${comment === undefined ? "" : ` /* ${comment} */`}`,
    ),
    "  };",
    "  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)",
    `    if (setsockopt(fd, options[i].level, options[i].name, ${cast}&options[i].value, sizeof options[i].value) != 0) return -1;`,
    "  return 0;",
    "}",
  ].join("\n");
}
