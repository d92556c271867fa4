import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import type { JournalEvent } from '../../src/runs/events.ts';
import { journalChunks } from '../../src/runs/journal.ts';
import { leaseFile, readLease } from '../../src/runs/lease.ts';
import type { Launcher } from '../../src/runs/launcher.ts';
import { localLauncher } from '../../src/runs/local-launcher.ts';
import type { LocalLauncherOptions } from '../../src/runs/local-launcher.ts';
import { readMarks } from '../../src/runs/marks.ts';
import { identify, processState, signalGroup } from '../../src/runs/process-identity.ts';
import type { ProcessIdentity } from '../../src/runs/process-identity.ts';
import { submitRuns } from '../../src/runs/queue.ts';
import { numbersOf, replay } from '../../src/runs/replay.ts';
import { listRuns, runFolder } from '../../src/runs/run-folder.ts';
import type { Workspace } from '../../src/runs/run-folder.ts';
import { createSupervisor } from '../../src/runs/supervisor.ts';
import type { Supervisor, SupervisorOptions } from '../../src/runs/supervisor.ts';
import { newRun } from './runs.ts';

export const miniTrainer = join(import.meta.dirname, 'mini-trainer.ts');
export const superviseProgram = join(import.meta.dirname, 'supervise.ts');

export function launcherOf(behaviour: unknown = {}, options: Partial<LocalLauncherOptions> = {}): Launcher {
  return localLauncher({
    entry: miniTrainer,
    node: () => Promise.resolve({ path: process.execPath, version: process.versions.node, electron: false }),
    environment: { MINI_TRAINER: JSON.stringify(behaviour) },
    ...options,
  });
}

/** Leaves no process behind, whatever a test did. */
export function killAllAfterwards(workspace: Workspace): void {
  onTestFinished(() => {
    for (const id of listRuns(workspace)) {
      const folder = runFolder(workspace, id);
      for (const mark of readMarks(folder))
        if (mark.type === 'submitted') signalGroup(mark.handle as ProcessIdentity, 'kill');
      const lease = readLease(leaseFile(folder));
      if (lease?.role === 'trainer' && lease.holder.processId !== process.pid) signalGroup(lease.holder, 'kill');
    }
  });
}

/** A supervisor in this process that looks after a workspace until the test ends. */
export function supervise(
  workspace: Workspace,
  behaviour: unknown = {},
  options: Partial<SupervisorOptions> = {},
): Supervisor & { readonly problems: unknown[] } {
  const problems: unknown[] = [];
  const supervisor = createSupervisor({
    workspace,
    launcher: launcherOf(behaviour),
    pollMs: 10,
    patience: { terminateAfterMs: 60_000, killAfterMs: 60_000 },
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  onTestFinished(() => supervisor.close());
  killAllAfterwards(workspace);
  supervisor.start();
  return { ...supervisor, problems };
}

export async function submit(
  workspace: Workspace,
  training: Readonly<Record<string, unknown>> = {},
): Promise<{ readonly id: string; readonly folder: string }> {
  const [id = ''] = await submitRuns(workspace, [newRun(training)]);
  return { id, folder: runFolder(workspace, id) };
}

export function eventsOf(folder: string): readonly JournalEvent[] {
  return [...journalChunks(folder)].flatMap(({ events }) => events);
}

export function numbers(folder: string): ReturnType<typeof numbersOf> {
  return numbersOf(replay(eventsOf(folder)));
}

export function lastStep(folder: string): number {
  return replay(eventsOf(folder)).steps.at(-1)?.step ?? 0;
}

/** Waits until something is so; a test that waits in vain ends by the runner's own limit. */
export async function until<T>(look: () => T | undefined | false): Promise<T> {
  for (;;) {
    const seen = look();
    if (seen !== undefined && seen !== false) return seen;
    await delay(5);
  }
}

/** The trainer that has a run now. */
export function trainerOf(folder: string): Promise<ProcessIdentity> {
  return until(() => {
    const lease = readLease(leaseFile(folder));
    return lease?.role === 'trainer' && processState(lease.holder) === 'alive' ? lease.holder : undefined;
  });
}

export function identityOf(processId: number): ProcessIdentity {
  return identify(processId);
}
