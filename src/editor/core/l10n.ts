/**
 * Words for people. Every text that the extension shows in code goes through {@link t}; the editor's own translator is put in place when
 * the extension starts, and without one (in tests) the English text is filled in as it stands.
 */

export type Translate = (message: string, ...values: (string | number | boolean)[]) => string;

function fillIn(message: string, ...values: readonly (string | number | boolean)[]): string {
  return message.replaceAll(/\{(\d+)\}/g, (placeholder, index: string) => String(values[Number(index)] ?? placeholder));
}

let translate: Translate = fillIn;

/** Puts the translator in place; called once, before anything is shown. */
export function useTranslator(translator: Translate): void {
  translate = translator;
}

/** The message in the user's language, `{0}`, `{1}`, … replaced by the values. Pass literal messages only: they are collected. */
export function t(message: string, ...values: (string | number | boolean)[]): string {
  return translate(message, ...values);
}
