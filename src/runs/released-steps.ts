import type { JournalEvent } from './events.ts';

/**
 * How often a private run's mechanism was run. Draws and noise are a function of key and step, so a step that is computed again under the
 * same key, from the same configuration and in the same arithmetic releases nothing new; under another key, or where the sums may differ,
 * it is another release.
 */

/** What a segment's releases repeat those of others by. */
export function releaseKey({
  keyId,
  arithmetic,
  computation,
}: {
  readonly keyId: string;
  readonly arithmetic?: string | undefined;
  readonly computation?: string | undefined;
}): string {
  return [keyId, arithmetic, computation].filter((part) => part !== undefined).join(' ');
}

/** Steps that a segment made, both included. */
interface Stretch {
  readonly from: number;
  readonly to: number;
}

export interface Releases {
  /** By key; those of a segment without a ledger have a key of their own. */
  readonly byKey: ReadonlyMap<string, readonly Stretch[]>;
  /** The last step that any segment came to. */
  readonly lastStep: number;
}

/**
 * The step that an event shows to have been made. A trainer writes every step before anything that follows from it, so a checkpoint,
 * an evaluation or an end shows its step even where the step's own line is missing.
 */
export function stepShownBy(event: JournalEvent): number | undefined {
  switch (event.type) {
    case 'step':
    case 'evaluation':
    case 'checkpoint':
    case 'resources':
    case 'finished':
    case 'stopped':
      return event.step;
    case 'failed':
      // Such a step was begun and released nothing.
      return event.kind === 'diverged' ? undefined : event.step;
    case 'started':
    case 'privacy':
    case 'log':
      return undefined;
  }
}

/** Whether only a segment that has started writes such an event: one that fails before tells of the step it would have gone on from. */
function showsTraining({ type }: JournalEvent): boolean {
  return type === 'step' || type === 'evaluation' || type === 'checkpoint' || type === 'resources';
}

/** How many different steps below `end` the stretches hold. */
function count(stretches: readonly Stretch[], end = Infinity): number {
  let [sum, reached] = [0, 0];
  for (const { from, to } of stretches.toSorted((a, b) => a.from - b.from)) {
    const last = Math.min(to, end - 1);
    sum += Math.max(0, last - Math.max(from - 1, reached));
    reached = Math.max(reached, last);
  }
  return sum;
}

/** What a journal, or a part of it that begins with the run, has released. */
export function releasesOf(events: Iterable<JournalEvent>): Releases {
  const byKey = new Map<string, Stretch[]>();
  let lastStep = 0;
  let life = { segment: -1, key: '', from: 1, to: 0 };
  const add = (key: string, stretch: Stretch): void => {
    byKey.set(key, [...(byKey.get(key) ?? []), stretch]);
    lastStep = Math.max(lastStep, stretch.to);
  };
  const close = (): void => {
    const { segment, key, from, to } = life;
    // A run goes on from what it has made, so that steps before it of which nothing tells were made under a key that is lost.
    if (from < Infinity && from > lastStep + 1) add(`before segment ${segment}`, { from: lastStep + 1, to: from - 1 });
    if (to > 0) add(key, { from: Math.min(from, to), to });
  };
  for (const event of events) {
    if (event.segment !== life.segment) {
      close();
      life = { segment: event.segment, key: `segment ${event.segment}`, from: Infinity, to: 0 };
    }
    if (event.type === 'privacy') life.key = releaseKey(event);
    else if (event.type === 'started') life.from = event.fromStep;
    // Where the line of its start is lost, nothing tells that it did not begin with the run.
    else if (life.from === Infinity && showsTraining(event)) life.from = 1;
    const step = stepShownBy(event);
    // A segment may tell first what it goes on from.
    if (step !== undefined && step >= life.from) life.to = Math.max(life.to, step);
  }
  close();
  return { byKey, lastStep };
}

/**
 * The steps that were released, each as often as it was.
 * @param reached the step of the run's last checkpoint, where there is one: a journal whose end is lost does not tell of all that led to it
 */
export function releasedSteps({ byKey, lastStep }: Releases, reached = 0): number {
  const told = [...byKey.values()].reduce((sum, stretches) => sum + count(stretches), 0);
  return told + Math.max(0, reached - lastStep);
}

/**
 * What a segment under a {@link releaseKey} that begins at `fromStep` has to add to its step numbers for its releases and all earlier ones together.
 */
export function repeatedSteps({ byKey, lastStep }: Releases, own: string, fromStep: number): number {
  const told = [...byKey].reduce(
    (sum, [key, stretches]) => sum + count(stretches, key === own ? fromStep : Infinity),
    0,
  );
  const lost = Math.max(0, fromStep - 1 - lastStep);
  return Math.max(0, told + lost - (fromStep - 1));
}
