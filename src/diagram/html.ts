/** Text that is markup already and goes into a page as it is; made by `html` only. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** What may stand in a template: text and numbers are escaped, lists are joined, null leaves nothing. */
export type Insertable = string | number | null | Markup | readonly Insertable[];

/**
 * A template for HTML and SVG that escapes whatever is put into it, in text as in quoted attributes.
 *
 * @example html`<p title="${'"'}">${"<b>"}</p>`.text // <p title="&quot;">&lt;b&gt;</p>
 */
export function html(strings: TemplateStringsArray, ...values: readonly Insertable[]): Markup {
  let text = strings[0] ?? "";
  for (const [index, value] of values.entries()) text += insert(value) + (strings[index + 1] ?? "");
  return new Markup(text);
}

/** Text of our own that needs no escaping, such as a style sheet. Never for what comes from outside. */
export function verbatim(text: string): Markup {
  return new Markup(text);
}

function insert(value: Insertable): string {
  if (value === null) return "";
  if (value instanceof Markup) return value.text;
  return typeof value === "object" ? value.map(insert).join("") : escape(String(value));
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Neither HTML nor XML can hold control characters, halves of surrogate pairs or non-characters, not even escaped (XML 1.0
 * section 2.2): they show as the replacement character.
 */
const unwritable = /(?![\t\n\r])\p{Cc}|\p{Cs}|\p{Noncharacter_Code_Point}/gu;

function escape(text: string): string {
  return text
    .replaceAll(unwritable, "\uFFFD")
    .replaceAll(/[&<>"']/g, (character) => entities[character] ?? character);
}
