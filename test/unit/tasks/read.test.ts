import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileError, UserError } from '../../../src/base/errors.ts';
import { readDocuments } from '../../../src/tasks/read/documents.ts';
import { loadSplit, skippedWarning } from '../../../src/tasks/read/load.ts';
import { findSplitFiles } from '../../../src/tasks/read/source.ts';
import { findTask } from '../../../src/tasks/registry.ts';
import type { SplitName } from '../../../src/tasks/task.ts';

const fixtures = join(import.meta.dirname, '../../fixtures/tasks');
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peft-lab-read-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

async function examplesOf(id: string, name: string, content: string | Uint8Array, split: SplitName = 'train') {
  const path = write(name, content);
  const key = {
    train: 'train',
    dev: 'dev',
    test: 'test',
    'dev-mismatched': 'devMismatched',
    'test-mismatched': 'testMismatched',
  }[split];
  return (await loadSplit(findTask(id), { [key]: path }, split)).examples;
}

/** The line and the problem of the FileError that loading ends in. */
async function fault(id: string, name: string, content: string | Uint8Array, split: SplitName = 'train') {
  const thrown: unknown = await examplesOf(id, name, content, split).catch((error: unknown) => error);
  if (!(thrown instanceof FileError)) throw new Error(`no FileError but ${String(thrown)}`);
  expect(thrown.file).toBe(join(folder, name));
  return { line: thrown.line, problem: thrown.message.slice(thrown.file.length).split('\n')[0] };
}

describe('TSV as distributed', () => {
  it('takes a double quote for an ordinary character, and strips a byte-order mark and CRLF', async () => {
    const content =
      '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t10\t11\t" He said so .\t"He" said "so\r\n0\t12\t13\ta\tb\r\n';
    expect(await examplesOf('mrpc', 'quotes.tsv', content)).toEqual([
      { text: '" He said so .', pair: '"He" said "so', label: 1 },
      { text: 'a', pair: 'b', label: 0 },
    ]);
  });

  it('reads CoLA without a header and its test split with one', async () => {
    expect(await examplesOf('cola', 'cola.tsv', 'gj04\t1\t\tIt works.\ngj04\t0\t*\tWorks it.')).toEqual([
      { text: 'It works.', label: 1 },
      { text: 'Works it.', label: 0 },
    ]);
    expect(await examplesOf('cola', 'cola-test.tsv', 'index\tsentence\n0\tIt works.\n', 'test')).toEqual([
      { text: 'It works.', label: -1 },
    ]);
  });

  it('reads the original STS-B files, whose rows may end in licence and source', async () => {
    const content = 'captions\tfile\t2012\t1\t2.5\tOne.\tTwo.\nnews\tfile\t2012\t2\t5.000\tA.\tB.\tCC\thttp\n';
    expect(await examplesOf('stsb', 'sts-test.tsv', content)).toEqual([
      { text: 'One.', pair: 'Two.', label: 2.5 },
      { text: 'A.', pair: 'B.', label: 5 },
    ]);
  });

  it('reads labels by name and by index', async () => {
    const content = 'index\tquestion\tsentence\tlabel\n0\tq\ts\tnot_entailment\n1\tq\ts\t0\n';
    expect((await examplesOf('qnli', 'names.tsv', content)).map(({ label }) => label)).toEqual([1, 0]);
  });

  it('finds the columns of MNLI among many', async () => {
    const content =
      'index\tpromptID\tpairID\tgenre\tsentence1_parse\tsentence1\tsentence2\tlabel1\tgold_label\n' +
      '0\t1\t1n\tfiction\t(ROOT)\tp\th\tneutral\tcontradiction\n';
    expect(await examplesOf('mnli', 'mnli.tsv', content)).toEqual([{ text: 'p', pair: 'h', label: 2 }]);
  });

  it('keeps unusual characters inside a line', async () => {
    const content = 'sentence\tlabel\nline\u2028separator, \u0085 and caf\u00e9 \u{1f600}\t1\n';
    expect((await examplesOf('sst2', 'unusual.tsv', content))[0]?.text).toBe(
      'line\u2028separator, \u0085 and caf\u00e9 \u{1f600}',
    );
  });

  it('reads what was written, across the boundaries of its chunks', async () => {
    const cell = fc.string({
      unit: fc.constantFrom('a', '"', ',', ' b', 'é', '日', '\u{1f600}'),
      minLength: 1,
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ text: cell, label: fc.integer({ min: 0, max: 1 }) }), { minLength: 1, maxLength: 30 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        async (rows, end, closed) => {
          const wanted = rows.filter(({ text }) => text.trim() !== '');
          fc.pre(wanted.length > 0);
          // Long lines, so that a file spans several of the reader's chunks.
          const padding = 'x'.repeat(200_000);
          const lines = ['sentence\tlabel', ...wanted.map(({ text, label }) => `${text}${padding}\t${label}`)];
          const content = lines.join(end) + (closed ? end : '');
          const expected = wanted.map(({ text, label }) => ({ text: text + padding, label }));
          expect(await examplesOf('sst2', 'law.tsv', content)).toEqual(expected);
          expect(await examplesOf('sst2', 'law.tsv.gz', gzipSync(content, { level: 1 }))).toEqual(expected);
        },
      ),
      { numRuns: 10 },
    );
  });
});

describe('a malformed row names file and line', () => {
  const header = 'sentence\tlabel\n';
  it.each([
    ['columns missing', 'good\t1\nbad\n', 3, ': the row has 1 column where 2 are expected'],
    ['columns too many', 'good\t1\nbad\t1\t0\n', 3, ': the row has 3 columns where 2 are expected'],
    ['label out of range', 'good\t1\nbad\t7\n', 3, ': the label "7" is not one of 0 (negative), 1 (positive)'],
    ['label hidden', 'good\t1\nbad\t-1\n', 3, ': the label "-1" is not one of 0 (negative), 1 (positive)'],
    ['label not a number', 'good\t1\nbad\tyes\n', 3, ': the label "yes" is not one of 0 (negative), 1 (positive)'],
    ['label empty', 'good\t1\nbad\t\n', 3, ': the label "" is not one of 0 (negative), 1 (positive)'],
    ['text empty', 'good\t1\n  \t1\n', 3, ': the sentence is empty'],
    ['blank line', 'good\t1\n\nmore\t1\n', 3, ': the line is empty'],
  ])('%s', async (name, rows, line, problem) => {
    const found = await fault('sst2', `${name}.tsv`, header + rows);
    expect(found).toEqual({ line, problem: `:${line}${problem}` });
  });

  it('invalid UTF-8', async () => {
    const content = Buffer.concat([Buffer.from(`${header}good\t1\n`), Buffer.from([0xff, 0xfe, 0x09, 0x31, 0x0a])]);
    expect(await fault('sst2', 'latin.tsv', content)).toMatchObject({ line: 3 });
  });

  it('a score outside the scale or not a number', async () => {
    const row = (score: string) => `sentence1\tsentence2\tscore\na\tb\t${score}\n`;
    expect((await fault('stsb', 'six.tsv', row('6'))).problem).toBe(':2: the score "6" is not a number from 0 to 5');
    expect((await fault('stsb', 'nan.tsv', row('NaN'))).problem).toMatch(/not a number from 0 to 5/);
    expect((await fault('stsb', 'hex.tsv', row('0x3'))).problem).toMatch(/not a number from 0 to 5/);
  });

  it('blank lines at the end are no rows', async () => {
    expect(await examplesOf('sst2', 'end.tsv', `${header}good\t1\n\n\r\n`)).toHaveLength(1);
  });

  it('columns that are not the task’s', async () => {
    expect((await fault('mrpc', 'foreign.tsv', header + 'a\t1\n')).problem).toMatch(/columns of MRPC were not found/);
    expect(await fault('sst2', 'unlabelled.tsv', 'sentence\na\n', 'dev')).toEqual({
      line: 1,
      problem: ':1: there is no label column',
    });
  });

  it('a test split that is labelled in part', async () => {
    expect(await fault('sst2', 'part.tsv', `${header}a\t1\nb\t\n`, 'test')).toMatchObject({ line: 3 });
  });
});

describe('malformed rows left out', () => {
  /** A question torn by a line break, as in the first GLUE download of QQP. */
  const torn =
    'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n' +
    '1\t1\t2\tWho was he?\tWho was that?\t1\n' +
    '2\t3\t4\tWas he real?\n' +
    '"\tWas he a real figure?\t0\n' +
    '3\t5\t6\tHow can I develop an app?\t\t0\n';

  it('are an error unless asked for, and the error says what is known of the official file', async () => {
    const path = write('qqp.tsv', torn);
    await expect(loadSplit(findTask('qqp'), { train: path }, 'train')).rejects.toThrow(
      /qqp\.tsv:3: the row has 4 columns where 6 are expected\n.*torn by line breaks.*malformedRows/s,
    );
  });

  it('are counted and named', async () => {
    const path = write('qqp.tsv', torn);
    const loaded = await loadSplit(findTask('qqp'), { train: path }, 'train', { malformedRows: 'skip' });
    expect(loaded.examples).toEqual([
      { text: 'Who was he?', pair: 'Who was that?', label: 1 },
      { text: 'How can I develop an app?', pair: '', label: 0 },
    ]);
    expect(loaded.skipped.map(({ line }) => line)).toEqual([3, 4]);
    expect(skippedWarning(loaded)).toMatch(/^left out 2 malformed rows of 4: .*qqp\.tsv:3: the row has 4 columns/);
  });

  it('give no warning where there are none, and an error where nothing is left', async () => {
    const path = write('all-bad.tsv', 'sentence\tlabel\na\t9\n');
    await expect(loadSplit(findTask('sst2'), { train: path }, 'train', { malformedRows: 'skip' })).rejects.toThrow(
      /the train split of SST-2 is empty: all 1 rows are malformed/,
    );
    const good = await loadSplit(findTask('sst2'), { train: write('ok.tsv', 'sentence\tlabel\na\t1\n') }, 'train');
    expect(skippedWarning(good)).toBeUndefined();
  });
});

describe('JSON lines', () => {
  it('reads GLUE’s and the hub’s names', async () => {
    const content =
      '{"premise":"p","hypothesis":"h \\u00e9","label":2,"idx":0}\n\n{"premise":"a","hypothesis":"b","label":"neutral"}\n';
    expect(await examplesOf('mnli', 'hub.jsonl', content)).toEqual([
      { text: 'p', pair: 'h é', label: 2 },
      { text: 'a', pair: 'b', label: 1 },
    ]);
    expect(await examplesOf('stsb', 'glue.json', '{"sentence1":"a","sentence2":"b","score":3.5}')).toEqual([
      { text: 'a', pair: 'b', label: 3.5 },
    ]);
  });

  it.each([
    ['torn', '{"sentence":"a","label":1}\n{"sentence":"b"', 2, /the line is not JSON/],
    ['array', '[1]', 1, /not a JSON object/],
    ['key missing later', '{"sentence":"a","label":1}\n{"label":1}', 2, /the sentence is missing/],
    ['text not text', '{"sentence":5,"label":1}', 1, /the sentence is 5 where text is expected/],
    ['label fractional', '{"sentence":"a","label":0.5}', 1, /the label 0.5 is not one of/],
  ])('%s', async (name, content, line, problem) => {
    const found = await fault('sst2', `${name}.jsonl`, content);
    expect(found.line).toBe(line);
    expect(found.problem).toMatch(problem);
  });
});

describe('CSV', () => {
  it('follows RFC 4180: quoted commas, quotes and line breaks', async () => {
    const content = '\ufeffsentence,label,idx\r\n"a, ""b""\r\nc",1,0\r\n\r\nplain,0,1\r\n';
    expect(await examplesOf('sst2', 'rfc.csv', content)).toEqual([
      { text: 'a, "b"\r\nc', label: 1 },
      { text: 'plain', label: 0 },
    ]);
  });

  it.each([
    ['after a record of two lines', 'sentence,label\n"a\nb",1\nbad,9\n', 4, /the label "9"/],
    ['after a blank line', 'sentence,label\nok,1\n\nbad,1,2\n', 4, /3 columns where 2/],
    [
      'quote never closed',
      'sentence,label\nok,1\n"open,0\nmore,1\n',
      3,
      /not valid CSV: a quote .* is not closed[^0-9]*$/,
    ],
    ['a column named twice', 'sentence,label,Label \nok,1,0\n', 1, /two columns are named label/],
    ['quote inside', 'sentence,label\nok,1\nmis"placed",0\n', 3, /not valid CSV/],
  ])('%s', async (name, content, line, problem) => {
    const found = await fault('sst2', `${name}.csv`, content);
    expect(found.line).toBe(line);
    expect(found.problem).toMatch(problem);
  });
});

describe('parquet', () => {
  it('reads row groups of snappy pages written by Arrow', async () => {
    const { examples } = await loadSplit(findTask('sst2'), { dev: join(fixtures, 'sst2-snappy.parquet') }, 'dev');
    expect(examples).toEqual([
      { text: 'a warm and funny film', label: 1 },
      { text: 'dull from start to end', label: 0 },
      { text: 'é naïve “quoted” 日本', label: 1 },
      { text: 'it works', label: 1 },
      { text: 'not once did i laugh', label: 0 },
    ]);
  });

  it('reads class indices by the names that the file stores, in whatever order', async () => {
    const source = { train: join(fixtures, 'qnli-reversed-zstd.parquet') };
    const { examples } = await loadSplit(findTask('qnli'), source, 'train');
    expect(examples.map(({ label }) => label)).toEqual([0, 1]);
  });

  it('reads scores', async () => {
    const { examples } = await loadSplit(findTask('stsb'), { train: join(fixtures, 'stsb-gzip.parquet') }, 'train');
    expect(examples.map(({ label }) => label)).toEqual([Math.fround(4.8), 0, 3.25]);
  });

  it('takes -1 for a hidden label in a test split only', async () => {
    const file = join(fixtures, 'mrpc-test-hidden.parquet');
    const hidden = await loadSplit(findTask('mrpc'), { test: file }, 'test');
    expect(hidden.labelled).toBe(false);
    expect(hidden.examples.map(({ label }) => label)).toEqual([-1, -1]);
    await expect(loadSplit(findTask('mrpc'), { dev: file }, 'dev')).rejects.toThrow(/:1: the label -1 is not one of/);
  });

  it.each([
    ['sst2-bad-row.parquet', /:2: the label 7 is not one of/],
    ['sst2-null-text.parquet', /:2: the sentence is missing/],
    ['stsb-gzip.parquet', /the columns of SST-2 were not found/],
  ])('refuses %s', async (name, problem) => {
    const thrown: unknown = await loadSplit(findTask('sst2'), { train: join(fixtures, name) }, 'train').catch(
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(FileError);
    expect(String(thrown)).toMatch(problem);
  });

  it('either reads a damaged file or refuses it, and never hangs or crashes', async () => {
    for (const name of ['sst2-snappy.parquet', 'sst2-null-text.parquet', 'sst2-bad-row.parquet']) {
      const whole = readFileSync(join(fixtures, name));
      for (let at = 0; at < whole.length; at += 23) {
        const damaged = Buffer.from(whole);
        damaged[at] = 0xff;
        const train = write('damaged.parquet', damaged);
        const result: unknown = await loadSplit(findTask('sst2'), { train }, 'train').catch((error: unknown) => error);
        if (result instanceof Error) expect(result).toBeInstanceOf(FileError);
      }
    }
  });

  it('refuses what is not parquet', async () => {
    expect(await fault('sst2', 'text.parquet', 'sentence\tlabel\n')).toMatchObject({
      problem: expect.stringMatching(/not a readable parquet file/) as string,
    });
    await expect(loadSplit(findTask('sst2'), { train: join(folder, 'no.parquet') }, 'train')).rejects.toThrow(
      /there is no such file/,
    );
  });
});

describe('a data folder', () => {
  const tsv = 'sentence\tlabel\na\t1\n';
  const filesOf = (root: string, id: string, split: SplitName) =>
    findSplitFiles(findTask(id), join(folder, root), split);

  it('has the names of the GLUE download or of a hub export', async () => {
    write('glue/train.tsv', tsv);
    write('glue/dev.tsv', tsv);
    write('glue/test.tsv', 'index\tsentence\n0\ta\n');
    write('hub/train-00000-of-00002.parquet', '');
    write('hub/train-00001-of-00002.parquet', '');
    write('hub/validation-00000-of-00001.parquet', '');
    expect(await filesOf('glue', 'sst2', 'dev')).toEqual([join(folder, 'glue/dev.tsv')]);
    expect(await filesOf('glue', 'sst2', 'test')).toEqual([join(folder, 'glue/test.tsv')]);
    expect(await filesOf('hub', 'sst2', 'train')).toEqual([
      join(folder, 'hub/train-00000-of-00002.parquet'),
      join(folder, 'hub/train-00001-of-00002.parquet'),
    ]);
    expect(await filesOf('hub', 'sst2', 'dev')).toEqual([join(folder, 'hub/validation-00000-of-00001.parquet')]);
    expect(await filesOf('hub', 'sst2', 'test')).toBeUndefined();
  });

  it('has the names of older hub exports, with digits behind the part', async () => {
    const names = ['train-00000-of-00002-0f1e2d3c4b5a6978.parquet', 'train-00001-of-00002-8796a5b4c3d2e1f0.parquet'];
    for (const name of names) write(`older/data/${name}`, '');
    expect(await filesOf('older', 'sst2', 'train')).toEqual(names.map((name) => join(folder, 'older/data', name)));
  });

  it('prefers a labelled test file, and tells the parts of MNLI apart', async () => {
    write('labelled/test.tsv', tsv);
    write('labelled/test-labeled.tsv', tsv);
    expect(await filesOf('labelled', 'sst2', 'test')).toEqual([join(folder, 'labelled/test-labeled.tsv')]);
    write('mnli/dev_matched.tsv', tsv);
    write('mnli/validation_mismatched.jsonl', '');
    expect(await filesOf('mnli', 'mnli', 'dev')).toEqual([join(folder, 'mnli/dev_matched.tsv')]);
    expect(await filesOf('mnli', 'mnli', 'dev-mismatched')).toEqual([join(folder, 'mnli/validation_mismatched.jsonl')]);
    await expect(filesOf('mnli', 'sst2', 'dev-mismatched')).rejects.toThrow(UserError);
  });

  it('may hold several tasks, each in its subfolder', async () => {
    write('all/SST-2/train.tsv', tsv);
    write('all/rte/train-00000-of-00001.parquet', '');
    expect(await filesOf('all', 'sst2', 'train')).toEqual([join(folder, 'all/SST-2/train.tsv')]);
    expect(await filesOf('all', 'rte', 'train')).toEqual([join(folder, 'all/rte/train-00000-of-00001.parquet')]);
  });

  it('is refused with what was looked for', async () => {
    write('bare/readme.txt', '');
    await expect(loadSplit(findTask('sst2'), join(folder, 'bare'), 'dev')).rejects.toThrow(
      /bare: there is no file for the dev split of SST-2\n.*Looked for dev or validation, ending in \.tsv, .*\.parquet.* in .*bare/,
    );
    await expect(loadSplit(findTask('sst2'), join(folder, 'absent'), 'dev')).rejects.toThrow(/there is no such folder/);
    await expect(loadSplit(findTask('sst2'), {}, 'dev')).rejects.toThrow(/task\.data\.dev/);
  });

  it('is refused when a part is missing', async () => {
    write('torn/train-00000-of-00003.parquet', '');
    await expect(filesOf('torn', 'sst2', 'train')).rejects.toThrow(/1 of the 3 parts of train are there/);
  });
});

describe('files', () => {
  it('that are empty, or of headers only, are an empty split', async () => {
    for (const [name, content] of [
      ['empty.tsv', ''],
      ['header.tsv', 'sentence\tlabel\n'],
      ['empty.jsonl', '\n'],
      ['empty.csv', ''],
    ] as const)
      expect((await fault('sst2', name, content)).problem).toMatch(
        /the train split of SST-2 is empty: there is no row/,
      );
  });

  it('of unknown endings, and folders, are refused', async () => {
    expect((await fault('sst2', 'train.xlsx', '')).problem).toMatch(/the name does not tell the format/);
    mkdirSync(join(folder, 'folder.tsv'));
    await expect(loadSplit(findTask('sst2'), { train: join(folder, 'folder.tsv') }, 'train')).rejects.toThrow(
      /this is a folder, not a file/,
    );
  });

  it('whose compression is torn are refused', async () => {
    const whole = gzipSync('sentence\tlabel\n' + 'a good film\t1\n'.repeat(1000));
    expect((await fault('sst2', 'torn.tsv.gz', whole.subarray(0, whole.length / 2))).problem).toMatch(
      /ends in the middle/,
    );
    expect((await fault('sst2', 'fake.tsv.gz', 'sentence\tlabel\n')).problem).toMatch(/is not a gzip file/);
  });
});

describe('a .json file', () => {
  const list = [
    { label: 1, sentence: 'a "b"' },
    { sentence: 'c', label: 'negative' },
  ];
  const examples = [
    { text: 'a "b"', label: 1 },
    { text: 'c', label: 0 },
  ];

  it('is one list of objects, in one line or many, or has one object a line', async () => {
    expect(await examplesOf('sst2', 'list.json', JSON.stringify(list))).toEqual(examples);
    expect(await examplesOf('sst2', 'pretty.json', `\ufeff\n${JSON.stringify(list, undefined, 2)}\n`)).toEqual(
      examples,
    );
    expect(await examplesOf('sst2', 'list.json.gz', gzipSync(JSON.stringify(list)))).toEqual(examples);
    const lines = list.map((row) => `${JSON.stringify(row)}\n`).join('');
    expect(await examplesOf('sst2', 'lines.json', lines)).toEqual(examples);
  });

  it.each([
    ['torn', JSON.stringify(list).slice(0, -3), /torn\.json: not a JSON list: .*\n.*one object a line/],
    ['a list of something else', '[{"sentence": "a", "label": 1}, 7]', /:2: this is not a JSON object/],
    ['without labels', '[{"sentence": "a"}]', /:1: there is no label column/],
  ])('%s is refused', async (name, content, message) => {
    await expect(examplesOf('sst2', `${name}.json`, content)).rejects.toThrow(message);
  });

  it('may not be a list under the name of lines', async () => {
    await expect(examplesOf('sst2', 'list.jsonl', JSON.stringify(list))).rejects.toThrow(
      /one object a line is expected/,
    );
  });
});

describe('documents', () => {
  it('are lines of plain text', async () => {
    const read = await readDocuments(
      { train: write('texts/train.txt', ' one\r\n\ntwo\n'), dev: write('texts/dev.txt', 'three') },
      undefined,
    );
    expect(read).toMatchObject({ train: ['one', 'two'], heldOut: ['three'] });
  });

  it('are at least two, of which one is held out', async () => {
    const of = (name: string, text: string): ReturnType<typeof readDocuments> =>
      readDocuments(write(name, text), undefined);
    await expect(of('texts/one.txt', '\none\n')).rejects.toThrow(/holds one document, .*held out/);
    expect(await of('texts/two.txt', 'one\ntwo\n')).toMatchObject({ train: ['one'], heldOut: ['two'] });
  });

  it.each(['corpus.jsonl', 'corpus.json.gz', 'corpus.CSV', 'corpus.parquet'])(
    'are not what a table or JSON writes around them: %s is refused',
    async (name) => {
      const file = write(`texts/${name}`, '{"text": "one"}\n{"text": "two"}\n');
      await expect(readDocuments(file, undefined)).rejects.toThrow(/is not plain text\n.*\.txt/);
    },
  );
});
