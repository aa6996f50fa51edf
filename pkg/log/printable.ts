/** Control characters, and those that turn the direction of writing: a terminal obeys them, and names of others may hold them. */
const unprintable = /[\p{Cc}\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** The text with such characters as `\u001b`, except the line end at its end. What reads JSON reads the same. */
export function printable(line: string): string {
  const end = line.endsWith('\n') ? '\n' : '';
  const text = end === '' ? line : line.slice(0, -1);
  return text.replace(unprintable, escaped) + end;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** What shows a person all there is to see; more is somebody's megabyte. */
const longestText = 4000;

export function inShort(text: string): string {
  return text.length > longestText ? `${text.slice(0, longestText)}…` : text;
}
