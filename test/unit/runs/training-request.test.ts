import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { installedCatalogue } from '../../../src/runs/catalogue.ts';
import { parseConfiguration, resolveConfiguration, startProblems } from '../../../src/runs/configuration.ts';
import { trainingRequest } from '../../../src/runs/training-request.ts';

const file = '/nowhere/a.peft.json';
const everything = { isFolder: () => true, exists: () => true };

function requestOf(settings: object) {
  const text = JSON.stringify({ model: 'some/encoder', method: 'full', ...settings });
  return trainingRequest(
    resolveConfiguration(parseConfiguration(text, file, installedCatalogue), installedCatalogue, everything),
  );
}

describe('what the engine is asked to do', () => {
  it('finds the data of a task that ships, and needs to be told where any other is', () => {
    expect(requestOf({ task: 'usage-tagging' }).task.data).toMatch(/samples.usage-tagging$/);
    expect(requestOf({ task: { id: 'mlm', textsOf: 'word-order' } }).task.data).toMatch(/samples.word-order$/);
    expect(() => requestOf({ task: 'sst2' })).toThrow(/task\.data is missing/);
    expect(() => requestOf({ task: 'mlm' })).toThrow(/one document a line/);
    const problems = (task: string) =>
      startProblems(
        JSON.stringify({ model: 'some/encoder', method: 'full', task }),
        file,
        installedCatalogue,
        everything,
      );
    expect(problems('usage-tagging')).toEqual([]);
    expect(problems('sst2')).toHaveLength(1);
  });

  it('passes masking on to masked words and to nothing else', () => {
    const masking = { rate: 0.3, wholeWords: true };
    expect(requestOf({ task: { id: 'mlm', data: 'a.txt', masking } }).task.masking).toEqual(masking);
    expect(() => requestOf({ task: { id: 'word-order', masking } })).toThrow(UserError);
    expect(() => requestOf({ task: { id: 'word-order', textsOf: 'sst2' } })).toThrow(/textsOf/);
  });

  it('refuses to promise privacy for packed text', () => {
    const privacy = { noiseMultiplier: 1 };
    expect(() => requestOf({ task: { id: 'mlm', data: 'a.txt' }, privacy })).toThrow(
      /private training of masked words/,
    );
  });
});
