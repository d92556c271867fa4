/** Control characters but tabs and line feeds, and those that turn the direction of what follows. */
// eslint-disable-next-line no-control-regex -- these are what must not be shown
const unseen = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** The text without characters that nobody sees and that act on what is around them: they can hide or forge text. */
export function withoutUnseen(text: string): string {
  return text.replaceAll(unseen, ' ');
}
