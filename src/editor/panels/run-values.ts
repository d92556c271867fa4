import { isRecord } from '../../base/is-record.ts';
import { flatten, isJsonObject, type Json } from '../../analysis/json.ts';
import { settingText } from '../../analysis/comparison.ts';
import { methodTitle, taskTitle } from '../core/titles.ts';
import type { RunDetail } from '../../store/run-detail.ts';
import { title } from '../../store/run-text.ts';
import type { Artifact, CurveNames, Evaluation, Settings, Summary } from '../../webviews/run/messages.ts';

/** A run as the run panel's feed holds it. */

/** A file below the run's folder. */
export interface RunFile {
  /** With forward slashes. */
  readonly path: string;
  readonly bytes: number;
}

function settingsOf(members: unknown): Settings {
  if (!isJsonObject(members)) return [];
  return [...flatten(members)].map(([path, value]: readonly [string, Json]) => ({ path, value: settingText(value) }));
}

function numberAt(value: unknown, key: string): number | null {
  const found = isRecord(value) ? value[key] : undefined;
  return typeof found === 'number' ? found : null;
}

/** What of a run its record does not tell. */
export interface RunSurroundings {
  /** Whether runs may be started here. */
  readonly canStart: boolean;
  /** Whether a machine holds the run that cannot be seen from here. */
  readonly isUnseen: boolean;
}

function summaryOf(run: RunDetail, { canStart, isUnseen }: RunSurroundings): Summary {
  const segment = run.segmentDetails.at(-1);
  return {
    id: run.id,
    state: run.state,
    name: title(run) || null,
    model: run.model,
    task: run.task === null ? null : taskTitle(run.task),
    method: run.method === null ? null : methodTitle(run.method),
    seed: run.seed,
    tags: [...run.tags],
    note: run.note,
    starred: run.starred,
    parameters: run.parameters,
    score: run.score,
    bestStep: run.bestStep,
    lastScore: run.lastScore,
    epsilon: run.epsilon,
    delta: numberAt(run.config?.privacy, 'delta'),
    isPrivate: run.config?.privacy !== undefined,
    targetEpsilon: numberAt(run.config?.privacy, 'epsilon'),
    step: run.step,
    totalSteps: run.totalSteps,
    epoch: run.epoch,
    loss: run.loss,
    examplesPerSecond: run.examplesPerSecond,
    remainingMs: run.remainingMs,
    peakBytes: run.peakBytes,
    trainSeconds: run.trainSeconds,
    provider: segment?.provider ?? run.provider,
    threads: segment?.threads ?? null,
    deviceReason: segment?.deviceReason ?? null,
    host: run.host,
    segments: run.segments,
    createdAt: run.createdAt,
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    failure: run.failure,
    diagnostics: run.diagnosticDetails.map(({ file, position, problem }) => ({ file, position, problem })),
    canStart,
    isUnseen,
  };
}

function evaluationsOf(run: RunDetail): readonly Evaluation[] {
  return run.evaluations.map(({ step, epoch, time, split, examples, loss, seconds, best, metrics }) => ({
    step,
    epoch,
    time,
    split,
    examples,
    loss,
    seconds,
    best,
    metrics,
  }));
}

function curvesOf(run: RunDetail): CurveNames {
  return {
    names: [...run.metrics],
    // A segment that begins at an earlier step replaces what was drawn from there on.
    life: run.segmentDetails.map(({ segment, fromStep }) => `${segment}:${fromStep ?? ''}`).join(' '),
    mark: `${run.updatedAt ?? ''} ${run.step ?? ''} ${run.evaluations.length}`,
    startedAt: run.startedAt,
  };
}

/** The run's files with what its journal says of them, the newest checkpoints first. */
export function artifactsOf(files: readonly RunFile[], run: Pick<RunDetail, 'checkpoints'>): readonly Artifact[] {
  const known = new Map(run.checkpoints.map(({ path, kind, step }) => [path.replaceAll('\\', '/'), { kind, step }]));
  return files.map(({ path, bytes }) => ({ path, bytes, kind: null, step: null, ...known.get(path) }));
}

/** What a run was trained in, and why on its device: the panel's header has no room for that. */
function environmentOf({ environment, segmentDetails }: RunDetail): Settings {
  const reason = segmentDetails.at(-1)?.deviceReason ?? null;
  return [...settingsOf(environment), ...(reason === null ? [] : [{ path: 'device.reason', value: reason }])];
}

/** The values of the feed, but for the files. */
export function runValues(
  run: RunDetail,
  surroundings: RunSurroundings,
): readonly (readonly [key: string, value: unknown])[] {
  return [
    ['summary', summaryOf(run, surroundings)],
    ['evaluations', evaluationsOf(run)],
    ['configuration', settingsOf(run.config)],
    ['environment', environmentOf(run)],
    ['curves', curvesOf(run)],
    ['log', `${run.updatedAt ?? ''} ${run.segments}`],
  ];
}
