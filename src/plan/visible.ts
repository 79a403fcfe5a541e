/**
 * Text from elsewhere (a header, a name, a file) as it may go to a terminal: control characters, line breaks and terminal escapes among
 * them, stand as their codes.
 *
 * @example visible("a\u001B[2J") // "a\\x1b[2J"
 */
export function visible(text: string): string {
  return text.replaceAll(
    /\p{Cc}/gu,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
