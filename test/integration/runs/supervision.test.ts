import { existsSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import { UserError } from '../../../src/base/errors.ts';
import { wishCheckpoint } from '../../../src/runs/control.ts';
import { journalFile, readJournal } from '../../../src/runs/journal.ts';
import { claimLease, leaseFile } from '../../../src/runs/lease.ts';
import { readMarks } from '../../../src/runs/marks.ts';
import { ownIdentity, processState } from '../../../src/runs/process-identity.ts';
import { claimNext, readQueue, resumeRun } from '../../../src/runs/queue.ts';
import { runFolder } from '../../../src/runs/run-folder.ts';
import { runState } from '../../../src/runs/run-state.ts';
import { requestStop } from '../../../src/runs/supervisor.ts';
import { describeEnd } from '../../../src/runs/trainer-end.ts';
import type { Saved } from '../../support/mini-trainer.ts';
import { temporaryWorkspace } from '../../support/runs.ts';
import { hasSignals, killed } from '../../support/signals.ts';
import {
  eventsOf,
  identityOf,
  killAllAfterwards,
  lastStep,
  launcherOf,
  numbers,
  submit,
  supervise,
  trainerOf,
  until,
} from '../../support/supervised.ts';

const training = { steps: 60, evaluateEvery: 7, checkpointEvery: 5, seed: 3 };

/** What an unbroken run of that training comes to. */
async function unbroken(): Promise<ReturnType<typeof numbers>> {
  const workspace = temporaryWorkspace();
  const supervisor = supervise(workspace);
  const { id, folder } = await submit(workspace, training);
  await supervisor.ended(id);
  return numbers(folder);
}

/** How much of a run's journal was on the disk itself before its checkpoint was. */
function bytesBeforeCheckpoint(folder: string): number {
  const file = join(folder, 'checkpoints', 'last.json');
  if (!existsSync(file)) return 0;
  return (JSON.parse(readFileSync(file, 'utf8')) as Saved).journalBytes;
}

function stops(folder: string): readonly string[] {
  return readMarks(folder).flatMap((mark) => (mark.type === 'stop-asked' ? [mark.how] : []));
}

describe('a run', () => {
  it('is started, trained to its end, and leaves its device free', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace);
    const states: string[] = [];
    supervisor.subscribe((_, { state }) => states.push(state));
    const { id, folder } = await submit(workspace, training);
    expect(await supervisor.ended(id)).toMatchObject({ state: 'finished', holder: 'none', stopAsked: false });
    await until(() => readQueue(workspace).length === 0);
    expect(numbers(folder).steps.map(([step]) => step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
    expect(states.at(-1)).toBe('finished');
    expect(readdirSync(folder).sort()).toEqual([
      'checkpoints',
      'config.json',
      'environment.json',
      'journal.jsonl',
      'marks.jsonl',
      'stderr.log',
      'stdout.log',
    ]);
    expect(readFileSync(join(folder, 'stderr.log'), 'utf8')).toBe('');
    await expect(supervisor.stop(id)).rejects.toThrow(/ended already: it is finished/);
    await expect(resumeRun(workspace, id, 'cpu')).rejects.toThrow(UserError);
    expect(supervisor.problems).toEqual([]);
  });

  it('gives its place to the next one at once, without waiting for the supervisor to look', async () => {
    const workspace = temporaryWorkspace();
    const runs = [
      await submit(workspace, training),
      await submit(workspace, training),
      await submit(workspace, training),
    ];
    // It would look again in some days.
    const supervisor = supervise(workspace, {}, { pollMs: 2 ** 30 });
    for (const { folder } of runs) await until(() => runState(folder).state === 'finished');
    expect(supervisor.problems).toEqual([]);
  });

  it('writes a checkpoint when one is wished for', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { stepMs: 5 });
    const { id, folder } = await submit(workspace, { ...training, steps: 100, checkpointEvery: 1000 });
    await until(() => lastStep(folder) >= 3);
    wishCheckpoint(folder);
    await supervisor.ended(id);
    expect(eventsOf(folder).filter(({ type }) => type === 'checkpoint')).toHaveLength(1);
  });

  it('killed again and again, its journal torn, ends in the numbers of an unbroken one', async () => {
    const expected = await unbroken();
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { stepMs: 4 });
    const random = randomStream(1, 'kills');
    const { id, folder } = await submit(workspace, training);
    for (let kills = 0; kills < 5; kills++) {
      const trainer = await trainerOf(folder);
      await delay(random.below(120));
      if (processState(trainer) === 'alive') process.kill(trainer.processId, 'SIGKILL');
      const { state, reason } = await supervisor.ended(id);
      if (state === 'finished') break;
      expect(state).toBe('interrupted');
      expect(reason).toContain(killed);
      // A power cut takes more than the process: the last bytes with it, save those that the disk had before the checkpoint.
      if (kills % 2 === 1 && existsSync(journalFile(folder))) {
        const { size } = statSync(journalFile(folder));
        truncateSync(journalFile(folder), Math.max(bytesBeforeCheckpoint(folder), size - random.below(40)));
      }
      await resumeRun(workspace, id, 'cpu');
    }
    expect((await supervisor.ended(id)).state).toBe('finished');
    expect(numbers(folder)).toEqual(expected);
    expect(supervisor.problems).toEqual([]);
  });

  it.each([
    [
      'before it takes the run over',
      'exit',
      'the trainer ended with exit code 3 before its run did: Error: the machine has no such library',
      3,
    ],
    [
      'by a defect of its own',
      'throw',
      'the trainer ended with exit code 1 before its run did: TypeError: this trainer has a defect',
      1,
    ],
  ])('that dies %s is interrupted, and says why', async (_, fault, reason, exitCode) => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { fault });
    const { id, folder } = await submit(workspace, training);
    expect(await supervisor.ended(id)).toMatchObject({ state: 'interrupted', reason, holder: 'none' });
    expect(readMarks(folder).at(-1)).toMatchObject({ type: 'interrupted', exitCode });
    await until(() => readQueue(workspace).length === 0);
    // What was printed in an earlier life is no reason for the next one's end.
    const next = supervise(workspace, { stepMs: 20 });
    await supervisor.close();
    await resumeRun(workspace, id, 'cpu');
    process.kill((await trainerOf(folder)).processId, 'SIGKILL');
    expect((await next.ended(id)).reason).toMatch(new RegExp(`${killed}[^:]*$`));
  });

  it.runIf(hasSignals)('whose runtime crashes says that, not the name of a signal alone', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { stepMs: 20 });
    const { id, folder } = await submit(workspace, training);
    process.kill((await trainerOf(folder)).processId, 'SIGSEGV');
    const { state, reason } = await supervisor.ended(id);
    expect(state).toBe('interrupted');
    expect(reason).toMatch(/^the trainer crashed \(SIGSEGV\): .*in the runtime or a driver; peft-lab doctor/);
  });

  it('tells what the exit codes of Windows mean', () => {
    const ended = (exitCode: number) => describeEnd({ state: 'ended', exitCode });
    expect(ended(0xc0000005)).toMatch(/crashed \(0xC0000005\): .*in the runtime or a driver/);
    expect(ended(0xc000001d)).toMatch(/crashed \(0xC000001D\): .*this processor lacks/);
    expect(ended(3)).toBe('the trainer ended with exit code 3 before its run did');
  });

  it('whose trainer cannot be started says so', async () => {
    const workspace = temporaryWorkspace();
    const launcher = launcherOf(
      {},
      { node: () => Promise.resolve({ path: '/no/such/node', version: '24.0.0', electron: false }) },
    );
    const supervisor = supervise(workspace, {}, { launcher });
    const { id } = await submit(workspace, training);
    expect(await supervisor.ended(id)).toMatchObject({
      state: 'interrupted',
      reason: expect.stringContaining('cannot be started') as string,
    });
    expect(supervisor.problems).toHaveLength(1);
  });

  it('with a configuration that this version cannot use fails with the place', async () => {
    const workspace = temporaryWorkspace();
    const { id, folder } = await submit(workspace, training);
    const config = join(folder, 'config.json');
    writeFileSync(config, readFileSync(config, 'utf8').replace('"rank"', '"rnak"'));
    const supervisor = supervise(workspace);
    const { state, reason } = await supervisor.ended(id);
    expect(state).toBe('failed');
    expect(reason).toContain('config.json');
    expect(reason).toContain('Did you mean "rank"?');
  });
});

describe('stopping', () => {
  it('calls off a run that waits', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { stepMs: 20 });
    const first = await submit(workspace, training);
    const second = await submit(workspace, training);
    await trainerOf(first.folder);
    await supervisor.stop(second.id);
    expect(await supervisor.ended(second.id)).toMatchObject({ state: 'stopped', holder: 'none' });
    expect(existsSync(journalFile(second.folder))).toBe(false);
    await supervisor.stop(first.id, { force: true });
    expect((await supervisor.ended(first.id)).state).toBe('stopped');
  });

  it('is heard by a trainer that had not begun', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace);
    const { id, folder } = await submit(workspace, training);
    await until(() => readMarks(folder).some(({ type }) => type === 'submitted'));
    await supervisor.stop(id);
    expect((await supervisor.ended(id)).state).toBe('stopped');
    expect(lastStep(folder)).toBeLessThan(60);
    expect(stops(folder)).toEqual(['ask']);
  });

  it('at any moment leaves a checkpoint, from which the run goes on to the numbers of an unbroken one', async () => {
    const expected = await unbroken();
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { stepMs: 4, startMs: 30 });
    const random = randomStream(2, 'stops');
    const { id, folder } = await submit(workspace, training);
    for (let stopped = 0; stopped < 4; stopped++) {
      await trainerOf(folder);
      await delay(random.below(100));
      const asked = await supervisor.stop(id).then(
        () => true,
        () => false,
      );
      const { state } = await supervisor.ended(id);
      if (!asked || state === 'finished') break;
      expect(state).toBe('stopped');
      expect(eventsOf(folder).at(-1)).toMatchObject({ type: 'stopped', step: lastStep(folder) });
      await resumeRun(workspace, id, 'cpu');
    }
    expect((await supervisor.ended(id)).state).toBe('finished');
    expect(numbers(folder)).toEqual(expected);
    // Stopped, not killed: no step was ever computed twice.
    expect(eventsOf(folder).filter(({ type }) => type === 'step')).toHaveLength(60);
  });

  it('is made true where the trainer does not hear: terminated, then killed, each on record', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(
      workspace,
      { stepMs: 5, fault: 'deaf' },
      { patience: { terminateAfterMs: 60, killAfterMs: 60 } },
    );
    const { id, folder } = await submit(workspace, { ...training, steps: 100_000 });
    const trainer = await trainerOf(folder);
    await until(() => lastStep(folder) >= 6);
    await supervisor.stop(id);
    expect(await supervisor.ended(id)).toMatchObject({ state: 'stopped', stopAsked: true });
    expect(stops(folder)).toEqual(['ask', 'terminate', 'kill']);
    expect(readMarks(folder).at(-1)).toMatchObject({
      type: 'interrupted',
      ...(hasSignals ? { signal: 'SIGKILL' } : { exitCode: 1 }),
    });
    expect(processState(trainer)).toBe('dead');
  });

  it('reaches a trainer that hangs before it takes the run over', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { fault: 'hang' }, { patience: { terminateAfterMs: 60, killAfterMs: 60 } });
    const { id, folder } = await submit(workspace, training);
    await until(() => readMarks(folder).some(({ type }) => type === 'submitted'));
    await supervisor.stop(id);
    expect((await supervisor.ended(id)).state).toBe('stopped');
    expect(existsSync(journalFile(folder))).toBe(false);
  });

  it('takes everything with it that the trainer started', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { stepMs: 5, grandchild: true });
    const { id, folder } = await submit(workspace, { ...training, steps: 100_000 });
    await until(() => lastStep(folder) >= 1);
    const grandchild = identityOf(Number(readFileSync(join(folder, 'grandchild.pid'), 'utf8')));
    expect(processState(grandchild)).toBe('alive');
    await supervisor.stop(id, { force: true });
    expect((await supervisor.ended(id)).state).toBe('stopped');
    await until(() => processState(grandchild) === 'dead');
    expect(stops(folder)).toEqual(['ask', 'kill']);
  });

  it.runIf(hasSignals)(
    'by a signal to the trainer is a stop like any other; a second signal ends it at once',
    async () => {
      const workspace = temporaryWorkspace();
      const supervisor = supervise(workspace, { stepMs: 5 });
      const { id, folder } = await submit(workspace, { ...training, steps: 100_000 });
      await until(() => lastStep(folder) >= 3);
      process.kill((await trainerOf(folder)).processId, 'SIGTERM');
      expect((await supervisor.ended(id)).state).toBe('stopped');

      await supervisor.close();
      const deaf = supervise(workspace, { stepMs: 5, fault: 'deaf' });
      await resumeRun(workspace, id, 'cpu');
      const trainer = await trainerOf(folder);
      const before = lastStep(folder);
      await until(() => lastStep(folder) > before);
      process.kill(trainer.processId, 'SIGINT');
      const noticed = lastStep(folder);
      await until(() => lastStep(folder) > noticed + 2);
      process.kill(trainer.processId, 'SIGTERM');
      expect(await deaf.ended(id)).toMatchObject({
        state: 'interrupted',
        reason: expect.stringContaining('exit code 143') as string,
      });
    },
  );

  it('ends a process that stays after its run was done', async () => {
    const workspace = temporaryWorkspace();
    const supervisor = supervise(workspace, { fault: 'linger' }, { patience: { lingerMs: 50 } });
    const { id, folder } = await submit(workspace, training);
    expect((await supervisor.ended(id)).state).toBe('finished');
    await until(() => readQueue(workspace).length === 0);
    expect(stops(folder)).toEqual([]);
  });
});

describe('a supervisor that comes later', () => {
  it('adopts what runs, and stops it when asked', async () => {
    const workspace = temporaryWorkspace();
    const first = supervise(workspace, { stepMs: 5 });
    const { id, folder } = await submit(workspace, { ...training, steps: 100_000 });
    await until(() => lastStep(folder) >= 1);
    await first.close();
    const before = lastStep(folder);
    await until(() => lastStep(folder) > before);
    const second = supervise(workspace);
    await second.stop(id);
    expect((await second.ended(id)).state).toBe('stopped');
    expect(eventsOf(folder).every(({ segment }) => segment === 0)).toBe(true);
  });

  it('records what died while no one looked', async () => {
    const workspace = temporaryWorkspace();
    const first = supervise(workspace, { stepMs: 5 });
    const { id, folder } = await submit(workspace, { ...training, steps: 100_000 });
    const trainer = await trainerOf(folder);
    await until(() => lastStep(folder) >= 1);
    await first.close();
    process.kill(trainer.processId, 'SIGKILL');
    await until(() => runState(folder).state === 'interrupted');
    expect(readMarks(folder).some(({ type }) => type === 'interrupted')).toBe(false);
    const second = supervise(workspace);
    expect(await second.ended(id)).toMatchObject({ state: 'interrupted', holder: 'none' });
    expect(readMarks(folder).filter(({ type }) => type === 'interrupted')).toHaveLength(1);
  });

  it('is not fooled by another process that has the number of a dead trainer', async () => {
    const workspace = temporaryWorkspace();
    const { id, folder } = await submit(workspace, training);
    const run = await claimNext(workspace, { perDevice: {}, auto: 'cpu' }, 'local');
    // The dead trainer's number belongs to this test's own process by now.
    const holder = { ...ownIdentity(), startTime: '17' };
    claimLease(leaseFile(folder), { role: 'trainer', segment: 0, from: run?.lease.nonce ?? '', holder });
    expect(runState(folder)).toMatchObject({ state: 'interrupted', holder: 'dead' });
    const supervisor = supervise(workspace, {}, { patience: { terminateAfterMs: 0, killAfterMs: 0 } });
    expect((await supervisor.ended(id)).state).toBe('interrupted');
    expect(readMarks(folder).at(-1)?.type).toBe('interrupted');
  });

  it('leaves a run alone that another machine has', async () => {
    const workspace = temporaryWorkspace();
    const { id, folder } = await submit(workspace, training);
    const run = await claimNext(workspace, { perDevice: {}, auto: 'cpu' }, 'local');
    const holder = { ...ownIdentity(), host: 'elsewhere', bootId: 'another' };
    claimLease(leaseFile(folder), { role: 'trainer', segment: 0, from: run?.lease.nonce ?? '', holder });
    const supervisor = supervise(workspace, {}, { patience: { terminateAfterMs: 0, killAfterMs: 0 } });
    await requestStop(workspace, id);
    for (let rounds = 0; rounds < 3; rounds++) await supervisor.round();
    expect(runState(folder)).toMatchObject({ state: 'starting', holder: 'other-host', stopAsked: true });
    expect(stops(folder)).toEqual(['ask']);
    expect(JSON.parse(readFileSync(join(folder, 'control.json'), 'utf8'))).toMatchObject({ stop: true });
  });
});

describe('a second trainer', () => {
  it('cannot have a run that the first one has', async () => {
    const workspace = temporaryWorkspace();
    killAllAfterwards(workspace);
    const supervisor = supervise(workspace, { stepMs: 5 });
    const { id, folder } = await submit(workspace, { ...training, steps: 100_000 });
    await until(() => lastStep(folder) >= 1);
    const launcher = launcherOf();
    for (const lease of ['0123456789abcdef', '']) {
      const handle = await launcher.submit({ folder, lease, sharers: 1 });
      await until(() => processState(handle as ReturnType<typeof ownIdentity>) === 'dead');
      expect(await launcher.poll([handle])).toMatchObject([{ state: 'ended', exitCode: 1 }]);
      expect(launcher.output(handle, folder)).toContain('is held by process');
    }
    await supervisor.stop(id);
    expect((await supervisor.ended(id)).state).toBe('stopped');
    expect(readJournal(runFolder(workspace, id)).problems).toEqual([]);
    expect(eventsOf(folder).every(({ segment }) => segment === 0)).toBe(true);
  });
});
