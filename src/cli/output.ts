/** What a report needs to know about where it is printed. */
export interface Terminal {
  /** Columns to fit into; a pipe has no width and gets 100. */
  readonly width: number;
  readonly colour: boolean;
}

/** The terminal behind a stream. NO_COLOR (no-color.org) is honoured; colour only ever goes to a terminal. */
export function terminalOf(stream: NodeJS.WriteStream): Terminal {
  return {
    width: stream.isTTY ? Math.max(40, stream.columns) : 100,
    colour: stream.isTTY && (process.env["NO_COLOR"] ?? "") === "" && process.env["TERM"] !== "dumb",
  };
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof codes;

/** Wraps text in a style where colour is wanted. */
export function paint(terminal: Terminal, style: Style, text: string): string {
  return terminal.colour ? `\u001B[${codes[style]}m${text}\u001B[0m` : text;
}

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** The column that gives way when the table is too wide; the rightmost such column is cut first. */
  readonly shrinkTo?: number;
  /** Where text that must give way is cut: at its end unless said otherwise. Addresses keep their port. */
  readonly cut?: "end" | "middle";
}

export interface Cell {
  readonly text: string;
  readonly style?: Style;
}

/** Lays rows out as a table that fits the terminal; text that must give way ends in "…". */
export function table(
  terminal: Terminal,
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
): string {
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...rows.map((row) => row[index]?.text.length ?? 0)),
  );
  let excess = widths.reduce((sum, width) => sum + width, 0) + 2 * (columns.length - 1) - terminal.width;
  for (let index = columns.length - 1; index >= 0 && excess > 0; index--) {
    const least = columns[index]?.shrinkTo;
    const width = widths[index] ?? 0;
    if (least === undefined || width <= least) continue;
    const cut = Math.min(excess, width - least);
    widths[index] = width - cut;
    excess -= cut;
  }
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, index) => {
        const fitted = fit(cell.text, widths[index] ?? 0, columns[index]);
        return cell.style === undefined ? fitted : paint(terminal, cell.style, fitted);
      })
      .join("  ")
      .trimEnd();
  return [line(columns.map(({ title }) => ({ text: title, style: "dim" as const }))), ...rows.map(line)].join(
    "\n",
  );
}

function fit(text: string, width: number, column: Column | undefined): string {
  if (text.length > width) return column?.cut === "middle" ? cutMiddle(text, width) : cutEnd(text, width);
  return column?.align === "right" ? text.padStart(width) : text.padEnd(width);
}

/** Text that is too wide, cut to end in "…". */
export function cutEnd(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;
}

function cutMiddle(text: string, width: number): string {
  const tail = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
}

/** Breaks running text at spaces so that it fits, each line behind `indent`. */
export function wrap(terminal: Terminal, text: string, indent = ""): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line.length > indent.length && line.length + 1 + word.length > terminal.width) {
      lines.push(line);
      line = indent;
    }
    line += line.length > indent.length ? ` ${word}` : word;
  }
  lines.push(line);
  return lines.join("\n");
}
