import { describe, expect, it } from 'vitest';
import { follow } from '../../../src/cli/follow.ts';
import { jsonText, table, type Terminal } from '../../../src/cli/output.ts';
import { openJournal } from '../../../src/runs/journal.ts';
import { temporaryFolder } from '../../support/runs.ts';

describe('what is printed', () => {
  it('has titles of columns without escapes, and as wide as they are', () => {
    const evil = '\u001b[31mscore\u0007\u202e';
    const [title = '', row = ''] = table([{ score: 1 }], [{ title: evil, cell: ({ score }) => `${score}` }]).split(
      '\n',
    );
    expect(title).toBe('score');
    expect(row).toBe('1');
  });

  it('has JSON whose values stay what they are, and act on no terminal', () => {
    const value = { name: 'a\u001b[31m\u009b2J\u202e\u2028\ufeffé★\nb', list: [1, 'x'] };
    for (const indent of [undefined, 2]) {
      const text = jsonText(value, indent);
      expect(JSON.parse(text)).toEqual(value);
      expect(text).toContain('é★');
      // eslint-disable-next-line no-control-regex -- these are what must not be there
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/);
    }
    expect(jsonText(value).trimEnd()).not.toContain('\n');
  });

  it('names a run that was stopped by its id, whatever its title begins with', async () => {
    const folder = temporaryFolder();
    const journal = openJournal(folder);
    journal.append({ type: 'stopped', step: 3 });
    journal.close();
    let told = '';
    const terminal: Terminal = {
      out: () => undefined,
      err: (text) => (told += text),
      interactive: false,
      columns: 80,
      width: undefined,
    };
    const run = { id: '20261121-041512123-4f9k2a', title: '1/6  4f9k2a rank=8' };
    await follow(terminal, folder, run, new AbortController().signal, { telling: 'end' });
    expect(told).toContain('go on with: peft-lab resume 4f9k2a\n');
  });
});
