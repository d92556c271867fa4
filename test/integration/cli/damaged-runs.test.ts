import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { claimLease, leaseFile, renewLease } from '../../../src/runs/lease.ts';
import { ownIdentity } from '../../../src/runs/process-identity.ts';
import { claimNext, submitRuns } from '../../../src/runs/queue.ts';
import { newRunId, openWorkspace, workspaceAt } from '../../../src/runs/run-folder.ts';
import { runState } from '../../../src/runs/run-state.ts';
import { makeBench, type Bench } from '../../support/cli.ts';
import { newRun } from '../../support/runs.ts';

let bench: Bench;

beforeAll(async () => {
  bench = await makeBench();
  openWorkspace(bench.folder);
});

afterAll(() => bench.remove());

async function submit(): Promise<string> {
  const [id = ''] = await submitRuns(workspaceAt(bench.folder), [newRun()]);
  return id;
}

/** A run that a machine had when it was lost an hour ago. */
async function lostRun(): Promise<string> {
  const id = await submit();
  const run = await claimNext(workspaceAt(bench.folder), { perDevice: { cpu: 100 }, auto: 'cpu' }, 'test');
  if (run?.id !== id) throw new Error('another run was waiting');
  const holder = { ...ownIdentity(), host: 'elsewhere', bootId: 'another' };
  const far = claimLease(leaseFile(run.folder), { role: 'trainer', segment: 0, from: run.lease.nonce, holder });
  if (far.kind === 'held') renewLease(leaseFile(run.folder), far.lease, Date.now() - 3_600_000);
  return id;
}

async function ls(): Promise<readonly { id: string; state: string; failure: { message: string } | null }[]> {
  const { out, code } = await bench.run('ls', '--json');
  expect(code).toBe(0);
  return (JSON.parse(out) as { runs: { id: string; state: string; failure: { message: string } | null }[] }).runs;
}

describe('a run whose machine is lost', () => {
  test('is not waited for, and can be given up', async () => {
    const id = await lostRun();
    const short = id.slice(-6);
    const stopped = await bench.run('stop', id, '--force');
    expect(stopped.code).toBe(2);
    expect(stopped.err).toContain(`peft-lab resume --force ${short}`);
    for (const command of ['resume', 'rm']) {
      const refused = await bench.run(command, id);
      expect([refused.code, refused.out]).toEqual([2, '']);
      expect(refused.err).toContain(`rm --force ${short}`);
    }
    expect(await bench.run('rm', id, '--force')).toMatchObject({ code: 0 });
    expect(bench.ids()).not.toContain(id);
  });

  test('goes on here where a person says that the trainer is dead', async () => {
    const id = await lostRun();
    const { err } = await bench.run('resume', id, '--force');
    // It was begun, and found that it has no data.
    expect(err).toContain('task.data is missing');
    expect(runState(bench.runFolder(id))).toMatchObject({ state: 'failed', holder: 'none' });
    expect(readFileSync(join(bench.runFolder(id), 'marks.jsonl'), 'utf8')).toContain('its trainer was on elsewhere');
  });
});

test('of runs that are to be resumed all go on or none', async () => {
  const [a, b] = [await submit(), await submit()];
  expect((await bench.run('stop', a)).code).toBe(0);
  const { code, err } = await bench.run('resume', a, b);
  expect(code).toBe(2);
  expect(err).toContain(`${b} is queued already`);
  expect(runState(bench.runFolder(a)).state).toBe('stopped');
  expect((await bench.run('rm', a, b)).code).toBe(0);
});

test('one damaged run hides no other', async () => {
  const [good, bad] = [await submit(), await submit()];
  mkdirSync(join(bench.runFolder(bad), 'journal.jsonl'));
  symlinkSync('loop', join(bench.runFolder(bad), 'loop'));
  symlinkSync('.', join(bench.runFolder(bad), 'round'));
  const stray = join(bench.folder, '.peft', 'runs', newRunId());
  writeFileSync(stray, 'no run');
  const runs = await ls();
  expect(runs.find(({ id }) => id === good)).toMatchObject({ state: 'queued', failure: null });
  expect(runs.find(({ id }) => id === bad)?.failure?.message).toContain('cannot be read: EISDIR');
  expect((await bench.run('ls')).out).toMatch(new RegExp(`${bad} .*cannot be read`));
  const shown = await bench.run('show', bad);
  expect(shown).toMatchObject({ code: 0, err: '' });
  expect(shown.out).toContain('cannot be read: EISDIR');
  expect(shown.out).not.toContain('round');
  const json = await bench.run('show', bad, '--json');
  expect(JSON.parse(json.out)).toMatchObject({ holder: null });
  for (const command of ['rm', 'resume']) {
    const refused = await bench.run(command, bad);
    expect(refused).toMatchObject({ code: 2, out: '', err: expect.stringContaining('EISDIR') as string });
    expect(refused.err).not.toMatch(/^\s+at /m);
  }
  rmSync(stray);
  rmSync(bench.runFolder(bad), { recursive: true });
  expect((await bench.run('rm', good)).code).toBe(0);
});

test('a run that cannot be read is told of by whoever looks at runs', async () => {
  const bad = await submit();
  const config = join(bench.runFolder(bad), 'config.json');
  rmSync(config);
  symlinkSync('config.json', config);
  const listed = await bench.run('ls', '--json');
  expect(listed).toMatchObject({
    code: 0,
    err: expect.stringContaining(`${bad}: its files cannot be read: ELOOP`) as string,
  });
  rmSync(bench.runFolder(bad), { recursive: true });
});

test('following a run whose files cannot be read ends with the reason', async () => {
  const bad = await submit();
  mkdirSync(leaseFile(bench.runFolder(bad)));
  const followed = await bench.run('logs', '-f', bad);
  expect(followed).toMatchObject({ code: 2, err: expect.stringContaining('EISDIR') as string });
  expect(followed.err).not.toMatch(/^\s+at /m);
  rmSync(bench.runFolder(bad), { recursive: true });
});

test('a run whose files cannot be written is given up, and those behind it are trained', async () => {
  const bad = await submit();
  const marks = join(bench.runFolder(bad), 'lease.json');
  mkdirSync(marks);
  const { code, err, out } = await bench.run('run', bench.configure('a', { training: { steps: 3 } }));
  expect([code, out]).toEqual([0, expect.stringMatching(/ {2}finished {2}/)]);
  expect(err.split(`${bad}: its files cannot be read or written`)).toHaveLength(2);
  rmSync(bench.runFolder(bad), { recursive: true });
});
