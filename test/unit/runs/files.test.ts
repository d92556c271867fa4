import { copyFileSync, existsSync, linkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { isSameFile } from '../../../src/runs/files.ts';
import { temporaryFolder } from '../../support/runs.ts';

it('one file is known under any of its names, and a copy is another', () => {
  const folder = temporaryFolder();
  const at = (name: string): string => join(folder, name);
  writeFileSync(at('train.tsv'), 'a');
  linkSync(at('train.tsv'), at('linked.tsv'));
  copyFileSync(at('train.tsv'), at('copy.tsv'));
  expect(isSameFile(at('train.tsv'), at('linked.tsv'))).toBe(true);
  expect(isSameFile(at('train.tsv'), at('copy.tsv'))).toBe(false);
  // The usual volumes of Windows and macOS take both for one name, which no text of a path tells.
  expect(isSameFile(at('train.tsv'), at('TRAIN.tsv'))).toBe(existsSync(at('TRAIN.tsv')));
  expect(isSameFile(at('nothing'), at('nothing'))).toBe(false);
});
