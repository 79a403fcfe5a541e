/**
 * How wide a text is at most, in the fonts the diagram asks for: nothing can be measured where it is drawn. Sans-serif letters
 * are half an em on average; capitals, digits and monospaced fonts need up to 0.62.
 */
const narrowEm = 0.62;
const wideEm = 1.05;
/** From here on characters are as wide as they are high (CJK, emoji). */
const firstWide = 0x2e80;

export function textWidth(text: string, fontPx: number): number {
  let em = 0;
  for (const character of text) em += (character.codePointAt(0) ?? 0) >= firstWide ? wideEm : narrowEm;
  return em * fontPx;
}

/** Text cut to end in "…" if it is too wide. */
export function cutToWidth(text: string, fontPx: number, width: number): string {
  if (textWidth(text, fontPx) <= width) return text;
  const characters = Array.from(text);
  while (characters.length > 0 && textWidth(`${characters.join("")}…`, fontPx) > width) characters.pop();
  return `${characters.join("").trimEnd()}…`;
}

/** Text broken at spaces into lines that fit; a word that is too wide by itself is cut. */
export function wrapToWidth(text: string, fontPx: number, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").filter((part) => part !== "")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && textWidth(longer, fontPx) > width) {
      lines.push(cutToWidth(line, fontPx, width));
      line = word;
    } else line = longer;
  }
  if (line !== "") lines.push(cutToWidth(line, fontPx, width));
  return lines;
}
