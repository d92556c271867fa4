import { l10n } from 'vscode';
import { english, type Strings } from '../../webviews/strings.ts';

/** What panels say, in the editor's language. Where there is no translation the texts are their own. */
export function translatedStrings(): Strings {
  return Object.fromEntries(Object.entries(english).map(([key, text]) => [key, l10n.t(text)])) as Strings;
}
