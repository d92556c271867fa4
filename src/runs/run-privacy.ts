import { isRecord } from '../base/is-record.ts';
import { privacySpent } from '../privacy/accountant.ts';
import { parseJson, readIfThere } from './files.ts';
import { journalChunks } from './journal.ts';
import type { JournalEvent } from './events.ts';
import type { Ledger } from './privacy-accounts.ts';
import { privateRecordFile } from './private-training.ts';
import { releasedSteps, releasesOf } from './released-steps.ts';
import { replay } from './replay.ts';

/** What a run's own record says of its privacy, and its local record of what epsilon does not cover. */

/** Epsilon at the end of an epoch, as the trainer told it. Infinite values are null. */
export interface EpochEpsilon {
  readonly step: number;
  readonly epoch: number;
  readonly epsilon: number | null;
}

export interface RunPrivacy {
  readonly ledger: Ledger;
  /** Steps that were released, each as often as it was. */
  readonly released: number;
  /** Of these, how many the run's step number does not count. */
  readonly repeated: number;
  /** What has been spent by now, null where it is infinite. */
  readonly epsilon: number | null;
  /** What the planned steps come to. */
  readonly planned: number | null;
  readonly epochs: readonly EpochEpsilon[];
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** The privacy of a run from its journal. Nothing for a run that is not private, or has not told of it yet. */
export function runPrivacy(events: readonly JournalEvent[]): RunPrivacy | undefined {
  const { privacy, steps } = replay(events);
  const ledger = privacy.at(-1);
  if (ledger === undefined) return undefined;
  const releases = releasesOf(events);
  const released = releasedSteps(releases);
  const { samplingRate, noiseMultiplier, delta, insecure, plannedSteps, repeatedSteps } = ledger;
  const accountant = ledger.accountant === 'tightest' ? undefined : ledger.accountant;
  const epsilonOf = (count: number): number | null =>
    insecure
      ? null
      : finite(privacySpent([{ samplingRate, noiseMultiplier, steps: count }], delta, accountant).epsilon);
  const planned = Math.max(released, plannedSteps + repeatedSteps);
  const whole = epsilonOf(planned);
  return {
    ledger,
    released,
    repeated: released - releases.lastStep,
    epsilon: released === planned ? whole : epsilonOf(released),
    planned: whole,
    epochs: steps.flatMap(({ step, epoch, epsilon }) =>
      epsilon === undefined ? [] : [{ step, epoch, epsilon: insecure ? null : epsilon }],
    ),
  };
}

/** As {@link runPrivacy}, of a run's folder. */
export function readRunPrivacy(folder: string): RunPrivacy | undefined {
  return runPrivacy([...journalChunks(folder)].flatMap(({ events }) => events));
}

/** A step as the local record keeps it; null where there was no number. */
export interface LocalStep {
  readonly step: number;
  readonly drawn: number;
  readonly loss: number | null;
  readonly gradientNorm: number | null;
  readonly clipped: number | null;
  readonly nonFinite: number;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

function localStep(line: string): LocalStep | undefined {
  const value = parseJson(line);
  if (!isRecord(value)) return undefined;
  const { step, drawn, loss, gradientNorm, clipped, nonFinite } = value;
  if (!isNumber(step) || !isNumber(drawn)) return undefined;
  const known = (number: unknown): number | null => (isNumber(number) ? number : null);
  return {
    step,
    drawn,
    loss: known(loss),
    gradientNorm: known(gradientNorm),
    clipped: known(clipped),
    nonFinite: known(nonFinite) ?? 0,
  };
}

/** The local record of a run, by ascending step; of a step that was computed again the later line counts. Empty where there is none. */
export function readLocalRecord(folder: string): readonly LocalStep[] {
  const steps = new Map<number, LocalStep>();
  for (const line of (readIfThere(privateRecordFile(folder)) ?? '').split('\n')) {
    const found = line === '' ? undefined : localStep(line);
    if (found !== undefined) steps.set(found.step, found);
  }
  return [...steps.values()].sort((a, b) => a.step - b.step);
}
