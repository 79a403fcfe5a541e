/** Colours of a page and its diagrams: at least 4.5 : 1 against the paper for text, light, dark, and always light on paper. */
const light = `
  --paper: #ffffff; --panel: #f6f8fa; --ink: #1b1f24; --dim: #57606a; --rule: #d0d7de;
  --data: #0b5cad; --probe: #7a3fc0; --answer: #1a7f37; --again: #8a5a00; --bad: #c11d28; --good: #1a7f37;
  --band: #fdecec; --heard: #e9f5ec;`;
const dark = `
  --paper: #0f1318; --panel: #171c23; --ink: #e6e9ed; --dim: #9aa4af; --rule: #323a44;
  --data: #6cb0f5; --probe: #c39bf3; --answer: #5ac878; --again: #e0ad4b; --bad: #ff8580; --good: #5ac878;
  --band: #33191b; --heard: #14281a;`;

/** The style sheet of `drawSequence`'s classes, and the colours that a page around it can use. */
export const diagramStyle = `
:root {${light} color-scheme: light dark; }
@media screen and (prefers-color-scheme: dark) { :root {${dark} } }
.sequence { display: block; font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); }
.sequence text { fill: var(--ink); }
.sequence text.head { font-size: 13px; font-weight: 600; }
.sequence text.dim, .sequence text.time { fill: var(--dim); font-size: 11px; }
.sequence text.time { font-variant-numeric: tabular-nums; }
.sequence text.elided { fill: var(--dim); font-size: 11px; font-style: italic; }
.sequence .head-box { fill: var(--panel); stroke: var(--rule); }
.sequence .lifeline { fill: none; stroke: var(--dim); stroke-width: 1.5; }
.sequence .band { fill: var(--band); }
.sequence .band-bar { fill: var(--bad); opacity: 0.55; }
.sequence .note-box { fill: var(--panel); stroke: var(--rule); }
.sequence .note-box.fault, .sequence .note-box.noticed { fill: var(--band); stroke: var(--bad); }
.sequence .note-box.heal, .sequence .note-box.heard { fill: var(--heard); stroke: var(--good); }
.sequence g { --line: var(--data); }
.sequence g.open, .sequence g.close, .sequence g.ack { --line: var(--dim); }
.sequence g.probe { --line: var(--probe); }
.sequence g.answer { --line: var(--answer); }
.sequence g.again { --line: var(--again); }
.sequence g.reset, .sequence g.icmp { --line: var(--bad); }
.sequence g line { stroke: var(--line); stroke-width: 1.5; }
.sequence g polygon { fill: var(--line); }
.sequence g.probe line, .sequence g.icmp line { stroke-dasharray: 6 4; }
.sequence g.again line { stroke-dasharray: 2 3; }
.sequence g.unanswered polygon { fill: var(--paper); stroke: var(--line); stroke-width: 1.5; }
.sequence .cross { fill: none; stroke: var(--bad); stroke-width: 2.5; }
`;
