/**
 * Text that came from files or people (run names, tags, notes, log lines), made fit for the places of the editor that give some characters
 * a meaning of their own. It is always shown, never obeyed.
 */

// Control characters, and those that turn the direction of what follows: they can hide or forge text.
// eslint-disable-next-line no-control-regex -- these are what must not be shown
const invisible = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/** The text on one line, without characters that act on what is around them; for labels of trees. */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\t\r\n]+/g, ' ')
    .replaceAll(invisible, ' ')
    .trim();
}

/** For quick picks and the status bar, where `$(name)` is an icon. */
export function withoutIcons(text: string): string {
  return oneLine(text).replaceAll('$(', '\\$(');
}

/** For notifications, where `[text](target)` is a link. */
export function withoutLinks(text: string): string {
  return text.replaceAll(invisible, ' ').replaceAll('](', '] (');
}

/** For Markdown: every character stands for itself, and nothing becomes a link, a tag or an icon. Lines stay lines. */
export function markdown(text: string): string {
  return text
    .replaceAll(invisible, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/[\\`*_{}[\]()#+\-.!|~$^=]/g, '\\$&')
    .replaceAll(':', '&#58;')
    .replaceAll('@', '&#64;')
    .replaceAll(/\r?\n/g, '  \n');
}

/** As {@link markdown}, on one line; for cells of tables. */
export function markdownLine(text: string): string {
  return markdown(oneLine(text));
}

/** Made when it is first needed: that takes milliseconds. */
let compactNumber: Intl.NumberFormat | undefined;

/** `295K`, `1.54K`, `110M`. */
export function compact(count: number): string {
  compactNumber ??= new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
  return compactNumber.format(count);
}
