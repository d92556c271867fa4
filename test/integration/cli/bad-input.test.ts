import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeBench, program, type Bench, type Outcome } from '../../support/cli.ts';
import { tinyVocabulary } from '../../support/tiny-encoder.ts';

let bench: Bench;

beforeAll(async () => {
  bench = await makeBench();
});

afterAll(() => bench.remove());

/** Refused for a reason that the user can mend: told on stderr alone, without a stack. */
function expectRefusal({ code, out, err }: Outcome, ...says: readonly (string | RegExp)[]): void {
  for (const each of says) expect(err).toMatch(each);
  expect(code).toBe(2);
  expect(out).toBe('');
  expect(err).not.toMatch(/^\s+at /m);
  expect(err).not.toContain('node:internal');
}

describe('what is wrong before anything starts', () => {
  test.each<[name: string, settings: Readonly<Record<string, unknown>>, says: readonly (string | RegExp)[]]>([
    ['an unknown key', { trainning: {} }, [/:1: trainning: unknown key/, 'Did you mean "training"']],
    ['an unknown key inside', { training: { learningrate: 1 } }, ['training.learningrate', '"learningRate"']],
    ['an unknown option', { method: { id: 'lora', rnk: 4 } }, ['method.rnk', 'Did you mean "rank"']],
    ['an unknown method', { method: 'lorra' }, ['method', 'lorra', '"lora"']],
    ['an unknown task', { task: { id: 'sst', data: 'data' } }, ['task.id', 'sst2']],
    ['a wrong type', { training: { batchSize: 'many' } }, ['training.batchSize', 'many']],
    ['a wrong number', { training: { learningRate: -1 } }, ['training.learningRate', '-1']],
    ['two that exclude one another', { training: { epochs: 1 } }, ['epochs and steps exclude one another']],
    ['data that are not there', { task: { id: 'sst2', data: 'nowhere' } }, ['task.data', /there is no .*nowhere/]],
    ['a folder that is not there', { model: './nowhere' }, [/there is no folder .*nowhere/]],
    ['no data', { task: 'sst2' }, ['task.data is missing']],
    ['a range without steps', { matrix: { 'training.learningRate': { from: 1, to: 2 } } }, ['a range needs steps']],
  ])('%s', async (_, settings, says) => {
    const before = bench.ids();
    const file = bench.configure('bad', settings);
    expectRefusal(await bench.run('run', file), ...says);
    expect(bench.ids()).toEqual(before);
  });

  test('a file that is no JSON, one that is not there, one of two', async () => {
    writeFileSync(join(bench.folder, 'torn.peft.json'), '{ "model": "model",\n  "task": \n');
    expectRefusal(await bench.run('run', 'torn.peft.json'), /torn\.peft\.json:\d/);
    expectRefusal(await bench.run('run', 'absent.peft.json'), 'absent.peft.json: there is no such file');
    // Nothing is started unless all can be.
    expectRefusal(await bench.run('run', bench.configure('good'), 'absent.peft.json'), 'there is no such file');
    expect(bench.ids()).toEqual([]);
  });

  test('wrong usage: the closest command and option are named', async () => {
    const [command, option, nothing, setting, run, path] = await Promise.all([
      bench.run('shwo'),
      bench.run('ls', '--stat', 'running'),
      bench.run('show'),
      bench.run('run', bench.configure('good'), '--set', 'training.epoch=1'),
      bench.run('show', '20990101-000000000-aaaaaa'),
      bench.run('rm', '../../model'),
    ]);
    expectRefusal(command, 'Did you mean show?');
    expectRefusal(option, '--state', 'See: peft-lab help ls');
    expectRefusal(nothing, "missing required argument 'run'", 'See: peft-lab help show');
    expectRefusal(setting, 'Did you mean "training.epochs"');
    expectRefusal(run, 'there is no run');
    expectRefusal(path, 'there is no run');
    expect(existsSync(join(bench.folder, 'model', 'config.json'))).toBe(true);
  });

  test('a command that is missing or unknown, as text and as JSON', async () => {
    const [none, part, help, leaf, noneAsJson, notAsked] = await Promise.all([
      bench.run(),
      bench.run('privacy'),
      bench.run('help', 'privacy', 'epsilom'),
      bench.run('help', 'run', 'now'),
      bench.run('--json'),
      bench.run('note', 'nowhere', '--', '--json'),
    ]);
    expectRefusal(none, 'Usage: peft-lab');
    expectRefusal(part, 'calibrate');
    expectRefusal(help, 'there is no command "epsilom"', 'Did you mean "epsilon"');
    expectRefusal(leaf, 'run has no commands of its own');
    expectRefusal(noneAsJson, /^\{"error":\{"message":"a command is missing.*"kind":"user"\}\}\n$/);
    expectRefusal(notAsked, /^peft-lab: there is no run/);
    const { code, out } = await bench.run('help', 'privacy', 'epsilon');
    expect([code, out]).toEqual([0, expect.stringContaining('--noise-multiplier')]);
    expect(out).not.toContain('default: []');
  });

  test('slots of what is no device, or no number of them', async () => {
    const slots = (text: string) => bench.run('run', bench.configure('good'), '--dry-run', '--slots', text);
    const [typo, none, picks, word] = await Promise.all(['cdua=2', 'gpu=2', 'auto=2', 'cpu=two'].map(slots));
    expectRefusal(typo as Outcome, /there is no device "cdua"/, 'Did you mean "cuda"');
    expectRefusal(none as Outcome, /there is no device "gpu"/, 'Known: cpu, webgpu, cuda');
    expectRefusal(picks as Outcome, /there is no device "auto"/);
    expectRefusal(word as Outcome, 'not of the form device=count');
    expect((await slots('cuda=2')).code).toBe(0);
  });

  test('a device that this machine lacks: nothing of a sweep is started, and a dry run tells of it', async () => {
    const before = bench.ids();
    const lacking = process.platform === 'darwin' ? 'dml' : 'coreml';
    const file = bench.configure('sweep', { matrix: { device: ['cpu', lacking] } });
    const missing = new RegExp(
      `sweep\\.peft\\.json: device=${lacking}: device: there is no execution provider ${lacking} here\\n`,
    );
    expectRefusal(await bench.run('run', file), missing, /webgpu computes on any GPU/);
    expect(bench.ids()).toEqual(before);
    const { code, out, err } = await bench.run('run', file, '--dry-run');
    expect([code, out.trim().split('\n').length]).toEqual([0, 2]);
    expect(err).toMatch(missing);
    expect(err).toMatch(/^warning: /m);
  });

  test('with --json the error is JSON on stderr', async () => {
    const { code, out, err } = await bench.run('run', bench.configure('bad', { modle: 'x' }), '--json');
    expect([code, out]).toEqual([2, '']);
    const { error } = JSON.parse(err) as { error: Record<string, unknown> };
    expect(error).toMatchObject({ kind: 'user', file: join(bench.folder, 'bad.peft.json'), line: 1 });
    expect(error['message']).toContain('modle');
  });
});

/** Model and data of the bench, changed by `change`, in a folder of their own. */
function damaged(name: string, change: (folder: string) => void): string {
  const folder = join(bench.folder, name);
  mkdirSync(folder);
  for (const part of ['model', 'data']) cpSync(join(bench.folder, part), join(folder, part), { recursive: true });
  change(folder);
  return bench.configure(name, { model: `${name}/model`, task: { id: 'sst2', data: `${name}/data` } });
}

function withHeader(file: string, header: Buffer, length = BigInt(header.length)): void {
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length);
  writeFileSync(file, Buffer.concat([prefix, header]));
}

describe('what the trainer finds', () => {
  const weights = (folder: string): string => join(folder, 'model', 'model.safetensors');
  const data = (folder: string, split: string): string => join(folder, 'data', `${split}.tsv`);

  test.each<[name: string, change: (folder: string) => void, says: readonly (string | RegExp)[]]>([
    ['truncated weights', (folder) => truncateSync(weights(folder), 3000), ['model.safetensors']],
    [
      'weights that claim a huge header',
      (folder) => withHeader(weights(folder), Buffer.from('{}'), 1n << 62n),
      ['model.safetensors'],
    ],
    [
      'weights that overlap',
      (folder) =>
        withHeader(
          weights(folder),
          Buffer.from(
            JSON.stringify({
              a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
              b: { dtype: 'F32', shape: [2], data_offsets: [4, 12] },
            }),
          ),
        ),
      ['model.safetensors'],
    ],
    [
      'a tokenizer that does not fit',
      (folder) => writeFileSync(join(folder, 'model', 'vocab.txt'), [...tinyVocabulary, 'one', 'more'].join('\n')),
      ['the tokenizer does not fit the model', 'vocab_size in config.json is 60'],
    ],
    [
      'a label outside the range',
      (folder) => writeFileSync(data(folder, 'train'), 'sentence\tlabel\nthe film is good\t1\nthe film is bad\t7\n'),
      [/train\.tsv:3: .*7/, 'task.malformedRows'],
    ],
    ['an empty split', (folder) => writeFileSync(data(folder, 'dev'), 'sentence\tlabel\n'), ['dev.tsv', 'empty']],
  ])('%s', async (name, change, says) => {
    const file = damaged(name.replaceAll(' ', '-'), change);
    const outcome = await bench.run('run', file, '--json');
    for (const each of says) expect(outcome.err).toMatch(each);
    expect(outcome.code).toBe(2);
    expect(outcome.err).not.toMatch(/^\s+at /m);
    expect(JSON.parse(outcome.out)).toMatchObject({ runs: [{ state: 'failed', failure: { kind: 'user' } }] });
  });

  test('a missing split is told before there is a run', async () => {
    const file = damaged('a-missing-split', (folder) => rmSync(data(folder, 'dev')));
    for (const args of [[], ['--dry-run']]) {
      const { code, out, err } = await bench.run('run', file, ...args);
      expect([code, out]).toEqual([2, '']);
      expect(err).toMatch(/a-missing-split.*data: there is no file for the dev split of SST-2/);
    }
  });

  test('malformed rows are left out, and said so, where that is asked for', async () => {
    damaged('skipping', (folder) => {
      const file = data(folder, 'train');
      writeFileSync(file, `${readFileSync(file, 'utf8')}the film is bad\t7\n`);
    });
    const file = bench.configure('skipping', {
      task: { id: 'sst2', data: 'skipping/data', malformedRows: 'skip' },
      training: { steps: 5 },
    });
    const { code, err } = await bench.run('run', file);
    expect(err).toMatch(/warning: left out 1 malformed rows? of 65: .*train\.tsv:66/);
    expect(code).toBe(0);
  });
});

test('names, tags and notes from outside are shown as plain text', async () => {
  const evil = '\u001b[31m<b>&amp;\u0007\u202e../../../etc\r\nforged  finished  1.0000';
  const file = bench.configure('evil', {
    name: evil,
    note: evil,
    training: { steps: 2 },
  });
  expect((await bench.run('run', file)).code).toBe(0);
  // No command would set such a tag; another program may have written it.
  const marks = join(bench.folder, '.peft', 'runs', bench.ids().at(-1) ?? '', 'marks.jsonl');
  appendFileSync(marks, `${JSON.stringify({ time: Date.now(), type: 'tag', tag: '\u001b]0;owned\u0007tag' })}\n`);
  const [listed, shown, json] = await Promise.all([
    bench.run('ls', '--text', 'forged'),
    bench.run('show', 'latest'),
    bench.run('show', 'latest', '--json'),
  ]);
  for (const { code, out } of [listed, shown]) {
    expect(code).toBe(0);
    expect(out).toContain('<b>&amp;');
    // eslint-disable-next-line no-control-regex -- these are what must not be there
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    expect(out).not.toMatch(/^forged/m);
  }
  expect(JSON.parse(json.out)).toMatchObject({ name: evil, tags: ['\u001b]0;owned\u0007tag'] });
});

test('a workspace that is none, or is not there, is left as it is', async () => {
  const other = mkdtempSync(join(tmpdir(), 'peft-cli-taken-'));
  try {
    mkdirSync(join(other, '.peft'));
    writeFileSync(join(other, '.peft', 'runs'), 'mine');
    const refused = await bench.run('--folder', other, 'run', bench.configure('good'));
    expectRefusal(refused, join(other, '.peft'));
    expect(readFileSync(join(other, '.peft', 'runs'), 'utf8')).toBe('mine');
    for (const command of [['ls'], ['stop', 'latest'], ['doctor'], ['run', bench.configure('good')]])
      expectRefusal(await bench.run('--folder', join(other, 'absent'), ...command), 'there is no folder');
    expect(existsSync(join(other, 'absent'))).toBe(false);
    expectRefusal(await bench.run('--folder', bench.configure('good'), 'ls'), 'good.peft.json is a file');
    // As a shell writes a variable without a value: the current folder is not meant.
    expectRefusal(await bench.run('--folder', '', 'rm', 'latest'), 'there is no folder ""');
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
});

test.runIf(process.platform === 'linux')('a current folder that was removed is told of', () => {
  const gone = mkdtempSync(join(tmpdir(), 'peft-cli-gone-'));
  const script = `cd "${gone}" && rmdir "${gone}" && exec "${process.execPath}" "${program}" ls`;
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  expectRefusal({ code: status, signal: null, out: stdout, err: stderr }, 'the current folder is gone');
});

/** A folder on a file system of its own that holds so many bytes; none where we may not mount. */
function smallDisk(bytes: number): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'peft-cli-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

const disk = process.platform === 'linux' ? smallDisk(1 << 20) : undefined;

describe.runIf(disk !== undefined)('a full disk', () => {
  const folder = disk ?? '';

  afterAll(() => {
    execFileSync('umount', [folder]);
    rmSync(folder, { recursive: true });
  });

  test('ends a run with a clear message, and what was recorded stays; with room it goes on', async () => {
    const long = { training: { steps: 1500, evaluateEvery: 500, checkpointEvery: 100 } };
    const file = bench.configure('full', long);
    const ballast = join(folder, 'ballast');
    writeFileSync(ballast, Buffer.alloc(700_000));
    const broken = await bench.run('--folder', folder, 'run', file);
    expect(broken.code).toBe(2);
    expect(broken.err).toMatch(/disk|full|space/i);
    expect(broken.err).not.toMatch(/^\s+at /m);
    rmSync(ballast);
    const resumed = await bench.run('--folder', folder, 'resume', 'latest', '--json');
    expect(resumed.code).toBe(0);
    expect(JSON.parse(resumed.out)).toMatchObject({ runs: [{ state: 'finished', step: 1500 }] });
  });
});
