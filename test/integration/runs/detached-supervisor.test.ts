import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { signalGroup } from '../../../src/runs/process-identity.ts';
import { readQueue } from '../../../src/runs/queue.ts';
import { runState } from '../../../src/runs/run-state.ts';
import { endSupervisor, livingSupervisor, startSupervisor, superviseUntilIdle } from '../../../src/runs/supervise.ts';
import { temporaryWorkspace } from '../../support/runs.ts';
import { killAllAfterwards, launcherOf, miniTrainer, submit, trainerOf, until } from '../../support/supervised.ts';

const program = {
  node: { path: process.execPath, version: process.versions.node, electron: false },
  entry: join(import.meta.dirname, '..', '..', '..', 'src', 'cli', 'main.ts'),
};

test('of two supervisors one works and the other waits for its turn; both end when nothing is left', async () => {
  const workspace = temporaryWorkspace();
  killAllAfterwards(workspace);
  const first = await submit(workspace);
  const options = { workspace, launcher: launcherOf(), entry: miniTrainer, pollMs: 20 };
  const both = [superviseUntilIdle(options), superviseUntilIdle(options)];
  await until(() => livingSupervisor(workspace));
  await Promise.all(both);
  expect(runState(first.folder).state).toBe('finished');
  expect(readQueue(workspace)).toEqual([]);
  expect(livingSupervisor(workspace)).toBeUndefined();
});

test('one that only adopts leaves what waits', async () => {
  const workspace = temporaryWorkspace();
  const run = await submit(workspace);
  await superviseUntilIdle({ workspace, launcher: launcherOf(), entry: miniTrainer, pollMs: 20, startsQueued: false });
  expect(runState(run.folder).state).toBe('queued');
});

test('one whose run is deleted under it, trainer and all, starts what waits and ends', async () => {
  const workspace = temporaryWorkspace();
  killAllAfterwards(workspace);
  const deleted = await submit(workspace, { steps: 1_000_000 });
  const next = await submit(workspace);
  const called = await submit(workspace);
  const problems: unknown[] = [];
  const working = superviseUntilIdle({
    workspace,
    launcher: launcherOf({ stepMs: 20 }),
    entry: miniTrainer,
    pollMs: 20,
    onProblem: (problem) => problems.push(problem),
  });
  const trainer = await trainerOf(deleted.folder);
  // At once, so that the supervisor finds neither of them.
  signalGroup(trainer, 'kill');
  rmSync(deleted.folder, { recursive: true, maxRetries: 10, retryDelay: 20 });
  rmSync(called.folder, { recursive: true });
  await working;
  expect(runState(next.folder).state).toBe('finished');
  expect(existsSync(deleted.folder)).toBe(false);
  expect(readQueue(workspace)).toEqual([]);
  expect(problems).toEqual([]);
});

test('one whose trainer was removed by an update makes room for a newer one', async () => {
  const workspace = temporaryWorkspace();
  const run = await submit(workspace);
  const gone = join(workspace.folder, 'gone.js');
  await superviseUntilIdle({
    workspace,
    launcher: launcherOf({}, { entry: gone }),
    entry: gone,
    pollMs: 60_000,
    startsQueued: false,
  });
  expect(runState(run.folder).state).toBe('queued');
  expect(existsSync(join(workspace.peft, 'supervisor.json'))).toBe(false);
});

test('one whose lease was taken away ends, and what runs goes on', async () => {
  const workspace = temporaryWorkspace();
  killAllAfterwards(workspace);
  const { folder } = await submit(workspace, { steps: 1_000_000 });
  const working = superviseUntilIdle({ workspace, launcher: launcherOf({ stepMs: 20 }), entry: miniTrainer });
  await trainerOf(folder);
  rmSync(join(workspace.peft, 'supervisor.json'));
  await working;
  expect(livingSupervisor(workspace)).toBeUndefined();
  expect(runState(folder)).toMatchObject({ state: 'running', holder: 'alive' });
});

test('a detached one lives by itself, is seen, and ends when it is told to', async () => {
  const workspace = temporaryWorkspace();
  const run = await submit(workspace);
  const choices = {
    slots: { cpu: 1 },
    startsQueued: true,
    nodePath: '/nowhere/node',
    libraryFolders: ['/nowhere/lib'],
  };
  startSupervisor(workspace, { ...program, ...choices });
  const lease = await until(() => livingSupervisor(workspace));
  const { processId } = lease.holder;
  expect(processId).not.toBe(process.pid);
  if (process.platform === 'linux')
    expect(readFileSync(`/proc/${processId}/environ`, 'utf8')).toMatch(/(^|\0)LD_LIBRARY_PATH=\/nowhere\/lib[:\0]/);
  expect(endSupervisor(workspace)).toBe(true);
  await until(() => livingSupervisor(workspace) === undefined);
  expect(endSupervisor(workspace)).toBe(false);
  // A Node that does not run is the user's to mend; the run says so.
  const { state, reason } = runState(run.folder);
  if (state === 'interrupted') expect(reason).toContain('/nowhere/node');
  else expect(state).toBe('queued');
});
