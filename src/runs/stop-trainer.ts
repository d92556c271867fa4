import type { Launcher } from './launcher.ts';
import { appendMarks, type Mark } from './marks.ts';
import { signalGroup } from './process-identity.ts';
import { marksOfThisLife } from './run-life.ts';
import type { RunFacts } from './run-state.ts';

/** How long a run that was asked to stop is left in peace before the next, harsher step. */
export interface Patience {
  /** From the wish to SIGTERM; a checkpoint has to fit in. */
  readonly terminateAfterMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly killAfterMs: number;
  /** From the end of a run, as its journal tells it, to SIGTERM for a process that does not go; as long again to SIGKILL. */
  readonly lingerMs: number;
}

/** What trainers are started and ended with, and how patiently. */
export interface TrainerControl {
  readonly launcher: Launcher;
  readonly patience: Patience;
}

/** The last of some marks that has a type; nothing where none has. */
export function markOf<T extends Mark['type']>(
  marks: readonly Mark[],
  type: T,
): Extract<Mark, { type: T }> | undefined {
  return marks.findLast((mark): mark is Extract<Mark, { type: T }> => mark.type === type);
}

/** What a launcher knows the process of a run by; nothing where another started it. */
export function handleOf(launcher: Launcher, marks: readonly Mark[]): unknown {
  const submitted = markOf(marks, 'submitted');
  return submitted?.launcher === launcher.id ? submitted.handle : undefined;
}

/** Signals everything that belongs to a run's trainer. */
export async function cancelTrainer(
  launcher: Launcher,
  { lease, marks }: RunFacts,
  how: 'terminate' | 'kill',
): Promise<void> {
  const handle = handleOf(launcher, marksOfThisLife(marks));
  if (handle !== undefined) await launcher.cancel(handle, how);
  else if (lease?.lease.role === 'trainer') signalGroup(lease.lease.holder, how);
}

/** The next step against a run that was asked to stop and has not, when its time has come. */
export async function pressToStop(control: TrainerControl, folder: string, facts: RunFacts): Promise<void> {
  const stops = marksOfThisLife(facts.marks).filter((mark) => mark.type === 'stop-asked');
  const timeOf = (how: 'ask' | 'terminate' | 'kill'): number | undefined =>
    stops.find((mark) => mark.how === how)?.time;
  const [asked, terminated, killed] = [timeOf('ask'), timeOf('terminate'), timeOf('kill')];
  const { launcher, patience } = control;
  const now = Date.now();
  if (killed !== undefined) {
    if (now - killed > patience.killAfterMs) await cancelTrainer(launcher, facts, 'kill');
  } else if (terminated !== undefined) {
    if (now - terminated <= patience.killAfterMs) return;
    appendMarks(folder, [{ type: 'stop-asked', how: 'kill', by: 'supervisor' }]);
    await cancelTrainer(launcher, facts, 'kill');
  } else if (asked !== undefined && now - asked > patience.terminateAfterMs) {
    appendMarks(folder, [{ type: 'stop-asked', how: 'terminate', by: 'supervisor' }]);
    await cancelTrainer(launcher, facts, 'terminate');
  }
}

/** A run whose result is written but whose process stays would hold its device for ever. */
export async function endLingering({ launcher, patience }: TrainerControl, facts: RunFacts): Promise<void> {
  const { lingerMs } = patience;
  const since = Date.now() - (facts.journal?.time ?? Date.now());
  if (since > lingerMs) await cancelTrainer(launcher, facts, since > 2 * lingerMs ? 'kill' : 'terminate');
}
