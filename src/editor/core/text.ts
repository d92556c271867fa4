import { withoutUnseen } from '../../base/plain-text.ts';

/**
 * Text that came from files or people (run names, tags, notes, log lines), made fit for the places of the editor that give some characters
 * a meaning of their own. It is always shown, never obeyed.
 */

/** The text on one line, without characters that act on what is around them; for labels of trees. */
export function oneLine(text: string): string {
  return withoutUnseen(text.replaceAll(/[\t\r\n]+/g, ' ')).trim();
}

/** For quick picks and the status bar, where `$(name)` is an icon. */
export function withoutIcons(text: string): string {
  return oneLine(text).replaceAll('$(', '\\$(');
}

/** For notifications, where `[text](target)` is a link. */
export function withoutLinks(text: string): string {
  return withoutUnseen(text).replaceAll('](', '] (');
}

/** For Markdown: every character stands for itself, and nothing becomes a link, a tag or an icon. Lines stay lines. */
export function markdown(text: string): string {
  return withoutUnseen(text)
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
