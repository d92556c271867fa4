import { appendFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { wishStop } from '../../../src/runs/control.ts';
import { openJournal } from '../../../src/runs/journal.ts';
import { claimLease, leaseFile, leaseState, releaseLease, renewLease } from '../../../src/runs/lease.ts';
import type { Lease } from '../../../src/runs/lease.ts';
import { readMarks } from '../../../src/runs/marks.ts';
import { ownIdentity } from '../../../src/runs/process-identity.ts';
import {
  cancelQueued,
  claimNext,
  readQueue,
  repairQueue,
  resumeRun,
  resumeRuns,
  settle,
  submitRuns,
  withQueue,
} from '../../../src/runs/queue.ts';
import type { ClaimedRun } from '../../../src/runs/queue.ts';
import { removeRun, removeRuns } from '../../../src/runs/remove-run.ts';
import { listRuns, newRunId, runFolder } from '../../../src/runs/run-folder.ts';
import type { Workspace } from '../../../src/runs/run-folder.ts';
import { runState } from '../../../src/runs/run-state.ts';
import { newRun, someRun, temporaryWorkspace } from '../../support/runs.ts';

const oneSlot = { perDevice: {}, auto: 'cpu' };

function waiting(workspace: Workspace): readonly string[] {
  return readQueue(workspace)
    .filter(({ claimed }) => !claimed)
    .map(({ run }) => run);
}

async function claimed(workspace: Workspace, slots = oneSlot): Promise<ClaimedRun> {
  const run = await claimNext(workspace, slots, 'test');
  if (run === undefined) throw new Error('nothing to claim');
  return run;
}

/** Ends a claimed run as its trainer would. */
async function finish(workspace: Workspace, run: ClaimedRun): Promise<void> {
  const journal = openJournal(run.folder);
  journal.append({ type: 'stopped', step: 0 });
  journal.close();
  releaseLease(leaseFile(run.folder), run.lease);
  await settle(workspace, [run.id]);
}

/** A trainer on another machine takes a claimed run over. */
function heldElsewhere(run: ClaimedRun, heartbeat: number): Lease {
  const holder = { ...ownIdentity(), host: 'elsewhere', bootId: 'another' };
  const far = claimLease(leaseFile(run.folder), { role: 'trainer', segment: 0, from: run.lease.nonce, holder });
  if (far.kind === 'taken') throw new Error('the lease is another’s');
  renewLease(leaseFile(run.folder), far.lease, heartbeat);
  return far.lease;
}

describe('the queue', () => {
  it('gives runs out in their order, as slots are free', async () => {
    const workspace = temporaryWorkspace();
    const ids = await submitRuns(workspace, [newRun({ seed: 0 }), newRun({ seed: 1 }), newRun({ seed: 2 })]);
    expect(waiting(workspace)).toEqual(ids);
    const first = await claimed(workspace);
    expect(first.id).toBe(ids[0]);
    expect(runState(first.folder).state).toBe('starting');
    expect(leaseState(first.lease)).toBe('alive');
    expect(readMarks(first.folder).at(-1)).toMatchObject({ type: 'claimed', segment: 0, launcher: 'test' });
    expect(await claimNext(workspace, oneSlot, 'test')).toBeUndefined();
    expect((await claimed(workspace, { perDevice: { cpu: 2 }, auto: 'cpu' })).id).toBe(ids[1]);
    await finish(workspace, first);
    expect(await claimNext(workspace, oneSlot, 'test')).toBeUndefined();
    expect((await claimed(workspace, { perDevice: { cpu: 2 }, auto: 'cpu' })).id).toBe(ids[2]);
  });

  it('counts devices apart, and auto as what it comes to', async () => {
    const workspace = temporaryWorkspace();
    const on = (provider: 'auto' | 'cpu' | 'webgpu') => {
      const run = newRun();
      return { ...run, configuration: { ...run.configuration, device: { provider } } };
    };
    const ids = await submitRuns(workspace, [on('cpu'), on('auto'), on('webgpu'), on('cpu')]);
    const slots = { perDevice: {}, auto: 'webgpu' };
    expect((await claimed(workspace, slots)).id).toBe(ids[0]);
    expect((await claimed(workspace, slots)).id).toBe(ids[1]);
    expect(await claimNext(workspace, slots, 'test')).toBeUndefined();
  });

  it('takes each of several GPUs for a device by itself', async () => {
    const workspace = temporaryWorkspace();
    const on = (index?: number) => {
      const run = newRun();
      const device = { provider: 'cuda' as const, ...(index === undefined ? {} : { index }) };
      return { ...run, configuration: { ...run.configuration, device } };
    };
    const ids = await submitRuns(workspace, [on(), on(0), on(1), on(1), on(3)]);
    const slots = { perDevice: {}, auto: 'cpu' };
    expect(readQueue(workspace).map(({ device }) => device)).toEqual(['cuda', 'cuda', 'cuda:1', 'cuda:1', 'cuda:3']);
    for (const expected of [ids[0], ids[2], ids[4]]) expect((await claimed(workspace, slots)).id).toBe(expected);
    expect(await claimNext(workspace, slots, 'test')).toBeUndefined();
    const two = { perDevice: { cuda: 2 }, auto: 'cpu' };
    for (const expected of [ids[1], ids[3]]) expect((await claimed(workspace, two)).id).toBe(expected);
  });

  it('gives each run to one of many that ask at once, and never more than there are slots', async () => {
    const workspace = temporaryWorkspace();
    const ids = await submitRuns(
      workspace,
      Array.from({ length: 6 }, () => newRun()),
    );
    const slots = { perDevice: { cpu: 4 }, auto: 'cpu' };
    const taken = await Promise.all(Array.from({ length: 12 }, () => claimNext(workspace, slots, 'test')));
    expect(taken.flatMap((run) => (run === undefined ? [] : [run.id])).sort()).toEqual(ids.slice(0, 4));
  });

  it('lets a run that waits be called off, and only such a run', async () => {
    const workspace = temporaryWorkspace();
    const [a = '', b = ''] = await submitRuns(workspace, [newRun(), newRun()]);
    const first = await claimed(workspace);
    expect(await cancelQueued(workspace, a)).toBe(false);
    expect(await cancelQueued(workspace, b)).toBe(true);
    expect(runState(runFolder(workspace, b)).state).toBe('stopped');
    expect(await cancelQueued(workspace, b)).toBe(false);
    await finish(workspace, first);
    expect(await claimNext(workspace, oneSlot, 'test')).toBeUndefined();
    expect(readQueue(workspace)).toEqual([]);
  });

  it('takes runs again that ended early, forgetting old wishes', async () => {
    const workspace = temporaryWorkspace();
    const [id = ''] = await submitRuns(workspace, [newRun()]);
    await expect(resumeRun(workspace, id, 'cpu')).rejects.toThrow(/it is queued/);
    const run = await claimed(workspace);
    await expect(resumeRun(workspace, id, 'cpu')).rejects.toThrow(UserError);
    wishStop(run.folder);
    await finish(workspace, run);
    await resumeRun(workspace, id, 'cpu');
    expect(runState(run.folder).state).toBe('queued');
    const again = await claimed(workspace);
    expect(readMarks(run.folder).at(-1)).toMatchObject({ type: 'claimed', segment: 1 });
    expect(() => statSync(join(again.folder, 'control.json'))).toThrow();
  });

  it('takes a run again that another machine has only by force', async () => {
    const workspace = temporaryWorkspace();
    const [id = ''] = await submitRuns(workspace, [newRun()]);
    const run = await claimed(workspace);
    const holder = { ...ownIdentity(), host: 'elsewhere' };
    const far = claimLease(leaseFile(run.folder), { role: 'trainer', segment: 0, from: run.lease.nonce, holder });
    await expect(resumeRun(workspace, id, 'cpu')).rejects.toThrow(/resume --force/);
    await resumeRun(workspace, id, 'cpu', { force: true });
    expect(runState(run.folder).state).toBe('queued');
    expect(readMarks(run.folder).at(-2)).toMatchObject({
      type: 'interrupted',
      reason: expect.stringContaining('elsewhere') as string,
    });
    expect(far.kind === 'held' && renewLease(leaseFile(run.folder), far.lease)).toBe(false);
  });

  it('takes several runs again, or none of them', async () => {
    const workspace = temporaryWorkspace();
    const [a = '', b = ''] = await submitRuns(workspace, [newRun(), newRun()]);
    const stopped = await claimed(workspace);
    await finish(workspace, stopped);
    await expect(
      resumeRuns(workspace, [
        { run: a, device: 'cpu' },
        { run: b, device: 'cpu' },
      ]),
    ).rejects.toThrow(`the run ${b} cannot be resumed: it is queued`);
    expect(runState(stopped.folder).state).toBe('stopped');
    expect(waiting(workspace)).toEqual([b]);
  });

  it('deletes a run that another machine has only by force, and then its trainer must be dead', async () => {
    const workspace = temporaryWorkspace();
    const [id = ''] = await submitRuns(workspace, [newRun()]);
    heldElsewhere(await claimed(workspace), Date.now());
    await expect(removeRuns(workspace, [id])).rejects.toThrow(/rm --force/);
    await removeRuns(workspace, [id], { force: true });
    expect(listRuns(workspace)).toEqual([]);
    expect(readQueue(workspace)).toEqual([]);
  });

  it('gives the place of a machine that has long been silent to the next run', async () => {
    const workspace = temporaryWorkspace();
    const [a = '', b = ''] = await submitRuns(workspace, [newRun(), newRun()]);
    const lost = await claimed(workspace);
    const lease = heldElsewhere(lost, Date.now() - 60_000);
    expect(await claimNext(workspace, oneSlot, 'test')).toBeUndefined();
    renewLease(leaseFile(lost.folder), lease, Date.now() - 3_600_000);
    expect((await claimed(workspace)).id).toBe(b);
    // What became of it only a person can say.
    expect(runState(runFolder(workspace, a)).state).toBe('starting');
  });

  it('passes over a run whose files cannot be written, and tells of it', async () => {
    const workspace = temporaryWorkspace();
    const [a = '', b = ''] = await submitRuns(workspace, [newRun(), newRun()]);
    const marks = join(runFolder(workspace, a), 'marks.jsonl');
    rmSync(marks);
    mkdirSync(marks);
    const told: string[] = [];
    const run = await claimNext(workspace, oneSlot, 'test', (problem, id) => told.push(`${id} ${String(problem)}`));
    expect(run?.id).toBe(b);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(new RegExp(`^${a} .*its files cannot be read or written: EISDIR`));
  });

  it('is repaired whatever lies among the runs', async () => {
    const workspace = temporaryWorkspace();
    const good = someRun(workspace);
    const bad = someRun(workspace);
    const stray = join(workspace.runs, newRunId());
    writeFileSync(stray, 'no run');
    mkdirSync(leaseFile(bad));
    const told: string[] = [];
    expect(
      await repairQueue(
        workspace,
        () => 'cpu',
        (_, id) => told.push(id),
      ),
    ).toEqual([basename(good)]);
    expect(told).toEqual([basename(bad)]);
    expect(listRuns(workspace)).toEqual([basename(good), basename(bad)]);
  });

  it('claims what a supervisor left that died before it could start it', async () => {
    const workspace = temporaryWorkspace();
    const [id = ''] = await submitRuns(workspace, [newRun()]);
    const folder = runFolder(workspace, id);
    claimLease(leaseFile(folder), { role: 'supervisor', holder: { ...ownIdentity(), startTime: '1' } });
    expect(runState(folder).state).toBe('queued');
    expect((await claimed(workspace)).id).toBe(id);
  });

  it('is not settled for a run that was queued again meanwhile', async () => {
    const workspace = temporaryWorkspace();
    const [id = ''] = await submitRuns(workspace, [newRun()]);
    await settle(workspace, [id]);
    expect(waiting(workspace)).toEqual([id]);
  });

  it('is found again from the runs themselves', async () => {
    const workspace = temporaryWorkspace();
    const ids = await submitRuns(workspace, [newRun(), newRun(), newRun()]);
    const ended = await claimed(workspace);
    await finish(workspace, ended);
    const held = await claimed(workspace);
    await withQueue(workspace, () => {
      appendFileSync(
        join(workspace.peft, 'queue.jsonl'),
        ids.map((run) => `${JSON.stringify({ type: 'removed', time: 0, run })}\n`).join(''),
      );
    });
    expect(readQueue(workspace)).toEqual([]);
    expect(await repairQueue(workspace, () => 'cpu')).toEqual(ids.slice(1));
    expect(readQueue(workspace)).toEqual([
      { run: held.id, device: 'cpu', claimed: true },
      { run: ids[2], device: 'cpu', claimed: false },
    ]);
    expect(await repairQueue(workspace, () => 'cpu')).toEqual([]);
  });

  it('passes over torn and foreign lines', async () => {
    const workspace = temporaryWorkspace();
    const [a = ''] = await submitRuns(workspace, [newRun()]);
    appendFileSync(
      join(workspace.peft, 'queue.jsonl'),
      '{"type":"enqueued","time":0,"run":"../../etc","device":"cpu"}\n{"type":"enq',
    );
    const [b = ''] = await submitRuns(workspace, [newRun()]);
    expect(waiting(workspace)).toEqual([a, b]);
  });

  it('forgets in its file what is long over', async () => {
    const workspace = temporaryWorkspace();
    const file = join(workspace.peft, 'queue.jsonl');
    const [id = ''] = await submitRuns(workspace, [newRun()]);
    const past = (i: number, type: string): string =>
      `${JSON.stringify({ type, time: 0, run: `20200101-${String(i).padStart(9, '0')}-aaaaaa`, device: 'cpu' })}\n`;
    const lines = Array.from({ length: 7000 }, (_, i) => past(i, 'enqueued') + past(i, 'removed')).join('');
    appendFileSync(file, lines);
    await withQueue(workspace, () => undefined);
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(2);
    expect(waiting(workspace)).toEqual([id]);
  });

  it('unlocks after a change that failed, and after a process that died', async () => {
    const workspace = temporaryWorkspace();
    await expect(
      withQueue(workspace, () => {
        throw new RangeError('no');
      }),
    ).rejects.toThrow(RangeError);
    claimLease(join(workspace.peft, 'queue.lock.json'), { role: 'lock', holder: { ...ownIdentity(), startTime: '1' } });
    expect(await withQueue(workspace, () => 7)).toBe(7);
  });
});

describe('deleting', () => {
  it('takes away a run that waits or has ended, never one that runs', async () => {
    const workspace = temporaryWorkspace();
    const [a = '', b = '', c = ''] = await submitRuns(workspace, [newRun(), newRun(), newRun()]);
    const run = await claimed(workspace);
    await expect(removeRun(workspace, a)).rejects.toThrow(/is starting/);
    expect(runState(run.folder).state).toBe('starting');
    await removeRun(workspace, b);
    await finish(workspace, run);
    await removeRun(workspace, a);
    expect(listRuns(workspace)).toEqual([c]);
    expect(waiting(workspace)).toEqual([c]);
    await expect(removeRun(workspace, '..')).rejects.toThrow(UserError);
  });
});
