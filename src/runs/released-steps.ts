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
  const close = (): void => {
    const { key, from, to } = life;
    if (to > 0) byKey.set(key, [...(byKey.get(key) ?? []), { from: Math.min(from, to), to }]);
    lastStep = Math.max(lastStep, to);
  };
  for (const event of events) {
    if (event.segment !== life.segment) {
      close();
      life = { segment: event.segment, key: `segment ${event.segment}`, from: Infinity, to: 0 };
    }
    if (event.type === 'privacy') life.key = releaseKey(event);
    else if (event.type === 'started') life.from = event.fromStep;
    else if (event.type === 'step') life.from = Math.min(life.from, event.step);
    const step = stepShownBy(event);
    // A segment may tell first what it goes on from.
    if (step !== undefined && step >= life.from) life.to = Math.max(life.to, step);
  }
  close();
  return { byKey, lastStep };
}

/** The steps that were released, each as often as it was. */
export function releasedSteps({ byKey }: Releases): number {
  return [...byKey.values()].reduce((sum, stretches) => sum + count(stretches), 0);
}

/**
 * What a segment under a {@link releaseKey} that begins at `fromStep` has to add to its step numbers for its releases and all earlier ones together.
 */
export function repeatedSteps({ byKey }: Releases, own: string, fromStep: number): number {
  const before = [...byKey].reduce(
    (sum, [key, stretches]) => sum + count(stretches, key === own ? fromStep : Infinity),
    0,
  );
  return Math.max(0, before - (fromStep - 1));
}
