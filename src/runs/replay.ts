import type { JournalEvent, RunState } from './events.ts';

import type { TerminalEvent } from './journal.ts';

export type EventOf<T extends JournalEvent['type']> = Extract<JournalEvent, { type: T }>;

/** What a journal amounts to. Later segments have replaced the steps that they repeat. */
export interface RunSummary {
  /** The last event that was taken in; an event at or before it changes nothing. */
  readonly last: { readonly segment: number; readonly seq: number; readonly time: number } | undefined;
  /** As the journal alone tells it: a run that broke off still reads `running` here. */
  readonly state: Extract<RunState, 'starting' | 'running' | 'finished' | 'failed' | 'stopped'>;
  /** The start of the last segment. */
  readonly started: EventOf<'started'> | undefined;
  /** In the order of the steps. */
  readonly steps: readonly EventOf<'step'>[];
  /** In the order of the steps; one for each step and split. */
  readonly evaluations: readonly EventOf<'evaluation'>[];
  /** The last evaluation that was the best so far. */
  readonly best: EventOf<'evaluation'> | undefined;
  /** In the order they were written. */
  readonly checkpoints: readonly EventOf<'checkpoint'>[];
  /** What each private segment was made of, in their order; empty where the run is not private. */
  readonly privacy: readonly EventOf<'privacy'>[];
  /** How the last segment ended. */
  readonly end: TerminalEvent | undefined;
}

export const emptySummary: RunSummary = {
  last: undefined,
  state: 'starting',
  started: undefined,
  steps: [],
  evaluations: [],
  best: undefined,
  checkpoints: [],
  privacy: [],
  end: undefined,
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A summary under construction: its lists grow in place while one call of {@link replay} owns them. */
interface Draft extends Mutable<Omit<RunSummary, 'steps' | 'evaluations' | 'checkpoints' | 'privacy'>> {
  privacy: EventOf<'privacy'>[];
  steps: EventOf<'step'>[];
  evaluations: EventOf<'evaluation'>[];
  checkpoints: EventOf<'checkpoint'>[];
}

function bestOf(evaluations: readonly EventOf<'evaluation'>[]): EventOf<'evaluation'> | undefined {
  return evaluations.findLast((each) => each.best);
}

/** Drops what a segment that begins at `fromStep` computes again. */
function rewind(draft: Draft, fromStep: number): void {
  draft.steps = draft.steps.filter(({ step }) => step < fromStep);
  draft.evaluations = draft.evaluations.filter(({ step }) => step < fromStep);
  draft.best = bestOf(draft.evaluations);
  draft.checkpoints = draft.checkpoints.filter(({ step }) => step < fromStep);
}

function take(draft: Draft, event: JournalEvent): void {
  const { segment, seq, time } = event;
  const { last } = draft;
  if (last !== undefined && (segment < last.segment || (segment === last.segment && seq <= last.seq))) return;
  if (last === undefined || segment > last.segment) {
    draft.state = 'starting';
    draft.end = undefined;
  }
  draft.last = { segment, seq, time };
  switch (event.type) {
    case 'started':
      rewind(draft, event.fromStep);
      draft.started = event;
      draft.state = 'running';
      break;
    case 'step': {
      // Within a segment steps only grow; where they do not, the later one holds.
      while ((draft.steps.at(-1)?.step ?? 0) >= event.step) draft.steps.pop();
      draft.steps.push(event);
      break;
    }
    case 'evaluation':
      draft.evaluations = draft.evaluations.filter(({ step, split }) => step !== event.step || split !== event.split);
      draft.evaluations.push(event);
      draft.best = bestOf(draft.evaluations);
      break;
    case 'checkpoint':
      draft.checkpoints.push(event);
      break;
    case 'privacy':
      draft.privacy.push(event);
      break;
    case 'resources':
    case 'log':
      break;
    case 'finished':
    case 'stopped':
    case 'failed':
      draft.end = event;
      draft.state = event.type;
      break;
  }
}

/** Takes events into a summary, in the order of the journal. Events that it holds already change nothing; the argument is not changed. */
export function replay(events: Iterable<JournalEvent>, from: RunSummary = emptySummary): RunSummary {
  const draft: Draft = {
    ...from,
    steps: [...from.steps],
    evaluations: [...from.evaluations],
    checkpoints: [...from.checkpoints],
    privacy: [...from.privacy],
  };
  for (const event of events) take(draft, event);
  return draft;
}

/** The latest checkpoint of a kind, which is the one that lies on the disk. */
export function latestCheckpoint(
  { checkpoints }: RunSummary,
  kind: EventOf<'checkpoint'>['kind'],
): EventOf<'checkpoint'> | undefined {
  return checkpoints.findLast((checkpoint) => checkpoint.kind === kind);
}

/** The numbers of a run without what tells one life of it from another: segments, times and rates. For comparing runs. */
export function numbersOf({ steps, evaluations, best }: RunSummary): {
  readonly steps: readonly (readonly [step: number, loss: number | null, learningRate: number, norm: number | null])[];
  readonly evaluations: readonly {
    readonly step: number;
    readonly split: string;
    readonly loss: number | null;
    readonly metrics: Readonly<Record<string, number | null>>;
    readonly best: boolean;
  }[];
  readonly bestStep: number | undefined;
} {
  return {
    steps: steps.map(({ step, loss, learningRate, gradientNorm }) => [step, loss, learningRate, gradientNorm]),
    evaluations: evaluations.map(({ step, split, loss, metrics, best: isBest }) => ({
      step,
      split,
      loss,
      metrics,
      best: isBest,
    })),
    bestStep: best?.step,
  };
}
