import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import { DeadpeerError } from "../errors.js";
import { html, type Markup, verbatim } from "../diagram/html.js";
import { diagramStyle } from "../diagram/style.js";

/** Tells our own pages from other files. Stands at the beginning, so that a look at the first bytes is enough. */
const doctype = "<!doctype html>\n<!-- made by deadpeer -->\n";

const pageStyle = `
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 0.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 0 0 0.5rem; overflow-wrap: anywhere; }
a { color: var(--data); }
p { margin: 0.4rem 0; max-width: 46rem; }
.dim { color: var(--dim); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
th { text-align: left; font-weight: 600; color: var(--dim); }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
section { margin-top: 2.5rem; padding-top: 1.5rem; border-top: 1px solid var(--rule); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; margin: 0.8rem 0; font-size: 0.9rem; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1rem 0 0; overflow-x: auto; }
figure svg { width: 100%; min-width: 36rem; max-width: 760px; height: auto; }
.state { font-weight: 600; white-space: nowrap; }
.bad { color: var(--bad); }
.warn { color: var(--again); }
.good { color: var(--good); }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 0.4rem; } }
@page { margin: 14mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  section { break-before: page; border: 0; margin: 0; padding: 0; }
  figure, .scroll { overflow: visible; }
  figure svg { min-width: 0; max-height: 235mm; }
  /* On one page with its heading and facts, which take up to a fifth of a sheet, of Letter as well as of A4. */
  dl + figure svg { max-height: 185mm; }
  /* Made to fit a sheet it could not be read any more. */
  figure svg.long { max-height: none; }
  h2 { break-after: avoid; }
  section:not(:has(> figure > svg.long)) > :is(h2 + p, dl) { break-after: avoid; }
  tr { break-inside: avoid; }
  a { color: inherit; text-decoration: none; }
}
`;

/** A page that needs nothing but itself: no scripts, no fonts, no pictures from elsewhere. */
export function page(title: string, body: Markup, extraStyle = ""): string {
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  const head = html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${title}</title>
<style>${verbatim(diagramStyle + pageStyle + extraStyle)}</style>
</head>
<body>
${body}
</body>
</html>
`;
  return doctype + head.text;
}

/**
 * Writes a page to a file; `-` is stdout. An earlier page of ours gives way, nothing else does.
 *
 * @throws DeadpeerError `file-conflict`, `bad-option`.
 */
export function writePageTo(path: string, text: string): void {
  if (path === "-") {
    process.stdout.write(text);
    return;
  }
  mayWritePage(path);
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new DeadpeerError("bad-option", `${path} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** @throws DeadpeerError `file-conflict`: there is a file that is not a page of ours. */
export function mayWritePage(path: string): void {
  if (path === "-") return;
  const begins = Buffer.alloc(doctype.length);
  let length: number;
  try {
    const fd = openSync(path, "r");
    try {
      length = readSync(fd, begins);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    // What cannot be read, such as /dev/full or nothing at all, writing will tell about.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw new DeadpeerError("bad-option", `${path} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (length > 0 && begins.toString("utf8", 0, length) !== doctype)
    throw new DeadpeerError(
      "file-conflict",
      `${path} exists and is no page of deadpeer's; move it away or name another file`,
    );
}
