// Usage: node scripts/l10n.mjs
// Collects the texts that the extension shows from code into l10n/bundle.l10n.json, from which translations are made.
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { english } from '../src/webviews/strings.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where the collected texts are kept. */
export const bundle = join(root, 'l10n', 'bundle.l10n.json');

const call = /(?:(?<![\w.])t|\bl10n\.t)\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)")/g;

/**
 * The literal first arguments of every `t('…')` and `l10n.t('…')` of the extension, and the texts of its panels, in
 * alphabetical order.
 *
 * @returns {readonly string[]}
 */
export function collectMessages() {
  /** @type {Set<string>} */
  const messages = new Set();
  for (const file of globSync('src/editor/**/*.ts', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, single, double] of text.matchAll(call))
      messages.add(JSON.parse(`"${(single ?? double ?? '').replaceAll("\\'", "'").replaceAll(/(?<!\\)"/g, '\\"')}"`));
  }
  for (const message of Object.values(english)) messages.add(message);
  return [...messages].sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const messages = collectMessages();
  writeFileSync(bundle, `${JSON.stringify(Object.fromEntries(messages.map((text) => [text, text])), undefined, 2)}\n`);
  process.stdout.write(`${messages.length} texts\n`);
}
