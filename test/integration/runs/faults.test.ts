import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statfsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { randomStream } from '../../../src/base/random.ts';
import type { Unstamped } from '../../../src/runs/events.ts';
import { DiskFullError } from '../../../src/runs/files.ts';
import { journalFile, openJournal, readJournal } from '../../../src/runs/journal.ts';
import { claimLease } from '../../../src/runs/lease.ts';
import { appendMarks } from '../../../src/runs/marks.ts';
import { ownIdentity } from '../../../src/runs/process-identity.ts';
import { readQueue, resumeRun, submitRuns } from '../../../src/runs/queue.ts';
import { replay } from '../../../src/runs/replay.ts';
import { createRun, listRuns, openWorkspace, runFolder } from '../../../src/runs/run-folder.ts';
import type { Workspace } from '../../../src/runs/run-folder.ts';
import { runState } from '../../../src/runs/run-state.ts';
import { newRun, temporaryFolder, temporaryWorkspace } from '../../support/runs.ts';
import {
  eventsOf,
  killAllAfterwards,
  launcherOf,
  miniTrainer,
  numbers,
  submit,
  supervise,
  superviseProgram,
  until,
} from '../../support/supervised.ts';

const claimRace = join(import.meta.dirname, '../../support/claim-race.ts');
const training = { steps: 30, evaluateEvery: 7, checkpointEvery: 5 };

function startSupervisor(workspace: Workspace, slots: number, behaviour: unknown): ChildProcess {
  const child = spawn(process.execPath, [superviseProgram, workspace.folder, miniTrainer, String(slots)], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, MINI_TRAINER: JSON.stringify(behaviour) },
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** Every run finished, once, with every step once. */
function expectAllWhole(workspace: Workspace, ids: readonly string[]): void {
  expect(listRuns(workspace)).toEqual(ids);
  for (const id of ids) {
    const folder = runFolder(workspace, id);
    expect(runState(folder)).toMatchObject({ state: 'finished', holder: 'none' });
    const events = eventsOf(folder);
    expect(readJournal(folder).problems).toEqual([]);
    expect(events.every(({ segment }) => segment === 0)).toBe(true);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, i) => i));
    expect(numbers(folder).steps.map(([step]) => step)).toEqual(
      Array.from({ length: training.steps }, (_, i) => i + 1),
    );
  }
}

/** The greatest number of runs that trained at the same time. */
function mostAtOnce(workspace: Workspace): number {
  const changes = listRuns(workspace).flatMap((id) => {
    const events = eventsOf(runFolder(workspace, id));
    const [first, last] = [events.at(0)?.time ?? 0, events.at(-1)?.time ?? 0];
    return [
      { time: first, by: 1 },
      { time: last, by: -1 },
    ];
  });
  let now = 0;
  let most = 0;
  for (const { by } of changes.sort((a, b) => a.time - b.time || a.by - b.by)) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}

describe('several supervisors', () => {
  it('at once start every run once, and no more than there are slots', async () => {
    const workspace = temporaryWorkspace();
    killAllAfterwards(workspace);
    const ids = await submitRuns(
      workspace,
      Array.from({ length: 6 }, (_, seed) => newRun({ ...training, seed })),
    );
    const supervisors = [1, 2, 3].map(() => startSupervisor(workspace, 2, { stepMs: 5 }));
    await Promise.all(supervisors.map((each) => once(each, 'exit')));
    expectAllWhole(workspace, ids);
    expect(mostAtOnce(workspace)).toBeLessThanOrEqual(2);
    expect(readQueue(workspace)).toEqual([]);
  });

  it('killed at any moment, one after the other, lose no run and start none twice', async () => {
    const workspace = temporaryWorkspace();
    killAllAfterwards(workspace);
    const random = randomStream(3, 'supervisors');
    const ids = await submitRuns(
      workspace,
      Array.from({ length: 6 }, (_, seed) => newRun({ ...training, seed })),
    );
    for (let killed = 0; killed < 8; killed++) {
      const supervisor = startSupervisor(workspace, 2, { stepMs: 5 });
      const ended = once(supervisor, 'exit');
      // From before its first look at the queue to the middle of a run.
      await delay(250 + random.below(500));
      supervisor.kill('SIGKILL');
      await ended;
    }
    await once(startSupervisor(workspace, 2, { stepMs: 5 }), 'exit');
    expectAllWhole(workspace, ids);
  });
});

describe('a lease that many processes want at the same moment', () => {
  const longAgo = new Date(Date.now() - 60_000);
  it.each<[string, (file: string) => void]>([
    ['is free', () => undefined],
    [
      'has a dead holder',
      (file) => void claimLease(file, { role: 'trainer', holder: { ...ownIdentity(), startTime: '17' } }),
    ],
    [
      'was spoilt long ago',
      (file) => {
        writeFileSync(file, '{');
        utimesSync(file, longAgo, longAgo);
      },
    ],
  ])('goes to exactly one of them where it %s', async (_, prepare) => {
    const folder = temporaryFolder();
    const names = Array.from({ length: 300 }, (_, i) => `${String(i).padStart(3, '0')}.json`);
    for (const name of names) prepare(join(folder, name));
    const racers = Array.from({ length: 4 }, () => {
      const racer = spawn(process.execPath, [claimRace, folder, ...names], { stdio: ['pipe', 'pipe', 'inherit'] });
      onTestFinished(() => void racer.kill('SIGKILL'));
      let output = '';
      racer.stdout.on('data', (data: Buffer) => (output += data.toString()));
      return { racer, lines: () => output.split('\n').slice(0, -1) };
    });
    await until(() => racers.every(({ lines }) => lines().includes('ready')));
    writeFileSync(join(folder, 'go'), '');
    await until(() => racers.every(({ lines }) => lines().includes('done')));
    for (const { racer } of racers) racer.stdin.end();
    await Promise.all(racers.map(({ racer }) => once(racer, 'exit')));
    const won = racers.flatMap(({ lines }) => lines().filter((line) => line.endsWith('.json')));
    expect(won.sort()).toEqual(names);
  });
});

const log = (message: string): Unstamped => ({ type: 'log', level: 'info', message });

/** A disk of so many bytes, or nothing where this machine lets no one make one. */
function smallDisk(bytes: number): string | undefined {
  const folder = temporaryFolder();
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  // Taken off before the folder around it goes: what is registered later runs first.
  onTestFinished(() => void execFileSync('umount', ['-l', disk], { stdio: 'ignore' }));
  return disk;
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Leaves so many bytes of a disk free. @returns the file that takes the rest */
function fill(disk: string, leave: number): string {
  const file = join(disk, 'filling');
  writeFileSync(file, Buffer.alloc(Math.max(0, freeBytes(disk) - leave)));
  return file;
}

const noDisk = 'neither a small disk can be mounted here nor prlimit limit the size of files';

describe('a full disk', () => {
  it('keeps what is recorded, and takes the rest when there is room again, without a gap', (test) => {
    const disk = smallDisk(256 << 10);
    if (disk === undefined)
      return test.skip('no small disk can be mounted here; the next test limits the size of files instead');
    const journal = openJournal(disk, { batchMs: 1000 });
    journal.append(log('first'));
    const filling = fill(disk, 8 << 10);
    let refused = 0;
    for (let i = 0; i < 20; i++)
      try {
        journal.append(log('x'.repeat(1000)));
      } catch (error) {
        expect(error).toBeInstanceOf(DiskFullError);
        expect(String(error)).toMatch(/the disk is full[\s\S]*nothing that was recorded is lost/);
        refused++;
      }
    expect(refused).toBeGreaterThan(0);
    expect(() => journal.flush()).toThrow(DiskFullError);
    const kept = readJournal(disk);
    expect(kept.problems).toEqual([]);
    expect(readFileSync(journalFile(disk)).at(-1)).toBe(0x0a);
    rmSync(filling);
    journal.append(log('last'));
    journal.close();
    const { events, problems } = readJournal(disk);
    expect(problems).toEqual([]);
    expect(events.slice(0, kept.events.length)).toEqual(kept.events);
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 22 }, (_, i) => i));
  });

  it('is a clear error for a new run and for marks, and leaves nothing half made', (test) => {
    const disk = smallDisk(256 << 10);
    if (disk === undefined) return test.skip('no small disk can be mounted here');
    const workspace = openWorkspace(disk);
    const id = createRun(workspace, newRun());
    const filling = fill(disk, 0);
    expect(() => createRun(workspace, newRun())).toThrow(DiskFullError);
    expect(() => appendMarks(runFolder(workspace, id), [{ type: 'note', text: 'x'.repeat(10_000) }])).toThrow(
      DiskFullError,
    );
    rmSync(filling);
    expect(listRuns(workspace)).toEqual([id]);
    appendMarks(runFolder(workspace, id), [{ type: 'star', on: true }]);
    expect(runState(runFolder(workspace, id)).state).toBe('queued');
  });

  it('interrupts a run with that reason, and after it the run goes on to the numbers of an unbroken one', async (test) => {
    const calm = temporaryWorkspace();
    const undisturbed = supervise(calm);
    const whole = await submit(calm, training);
    await undisturbed.ended(whole.id);
    const expected = numbers(whole.folder);

    const disk = smallDisk(1 << 20);
    const behaviour = { stepMs: 2, logBytes: 2000 };
    const limited = { nodeArguments: ['--fsize=30000', process.execPath] };
    if (disk === undefined && !canLimit()) return test.skip(noDisk);
    const workspace = openWorkspace(disk ?? temporaryFolder());
    const narrow =
      disk === undefined
        ? launcherOf(behaviour, {
            ...limited,
            node: () => Promise.resolve({ path: 'prlimit', version: '24.0.0', electron: false }),
          })
        : launcherOf(behaviour);
    const supervisor = supervise(workspace, behaviour, { launcher: narrow });
    const { id, folder } = await submit(workspace, training);
    const filling = disk === undefined ? undefined : fill(disk, 44 << 10);
    await until(() => runState(folder).state === 'interrupted');
    const before = eventsOf(folder);
    expect(replay(before).steps.length).toBeGreaterThan(3);
    expect(replay(before).steps.length).toBeLessThan(30);
    expect(readFileSync(journalFile(folder)).at(-1)).toBe(0x0a);
    expect(statSync(journalFile(folder)).size).toBeGreaterThan(5000);
    if (filling !== undefined) rmSync(filling);
    const { reason } = await supervisor.ended(id);
    // With not a byte left even the reason may have found no room; the state is true all the same.
    if (disk === undefined) expect(reason).toMatch(/greatest size that files may have/);
    else expect(reason).toMatch(/the disk is full|the trainer/);

    await supervisor.close();
    const next = supervise(workspace, { stepMs: 1 });
    await until(() => readQueue(workspace).length === 0);
    await resumeRun(workspace, id, 'cpu');
    expect((await next.ended(id)).state).toBe('finished');
    expect(numbers(folder)).toEqual(expected);
    expect(eventsOf(folder).slice(0, before.length)).toEqual(before);
  });
});

function canLimit(): boolean {
  try {
    execFileSync('prlimit', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
