import { isDeepStrictEqual } from 'node:util';
import { oneAtATime } from '../../base/one-at-a-time.ts';
import type { RunState } from '../../runs/events.ts';
import type { RunSummary } from '../../store/summaries.ts';
import { withStatus } from '../../store/run-text.ts';
import type { Store } from '../../store/store.ts';
import type { RunReader } from '../app.ts';
import type { ClaimedLook, Look, WaitingLook } from '../worker/operations.ts';

/**
 * Keeps the rows of one folder's runs in memory and up to date: looks at the queue and the processes, lets the store read what was
 * appended, and tells what changed. It looks often while something is under way and seldom otherwise.
 */

export interface WatchChange {
  readonly changed: readonly RunSummary[];
  readonly removed: readonly string[];
  /** The rows were read anew, all of them. */
  readonly everything: boolean;
}

/** A run's state became another, as seen between two looks. */
export interface Transition {
  readonly run: RunSummary;
  readonly before: RunState;
}

export interface WatchOptions {
  readonly look: () => Promise<Look>;
  /** Opens the database; asked only once there are runs. */
  readonly openStore: () => Promise<Store>;
  readonly onChange: (change: WatchChange) => void;
  readonly onTransitions: (transitions: readonly Transition[]) => void;
  readonly onLook: (look: QueueState) => void;
  readonly onProblem: (problem: unknown) => void;
  readonly timing?: Partial<WatchTiming>;
}

export interface WatchTiming {
  /** Between looks while a run is under way. */
  readonly busyMs: number;
  readonly idleMs: number;
  /** Between looks at every run's files, for what others changed of runs that have ended. */
  readonly everythingMs: number;
}

/** What is under way in a folder. */
export interface QueueState {
  readonly claimed: readonly ClaimedLook[];
  readonly waiting: readonly WaitingLook[];
  readonly supervised: boolean;
}

export const idleQueue: QueueState = { claimed: [], waiting: [], supervised: false };

export interface FolderWatch {
  readonly runs: ReadonlyMap<string, RunSummary>;
  readonly reader: RunReader;
  /** Settles when the rows have been read for the first time, or there are none. */
  readonly ready: Promise<void>;
  queue(): QueueState;
  /** Whether somebody holds the run who cannot be seen from here. */
  isUnseen(id: string): boolean;
  /** Looks at once; settles when what is there now has been taken in. */
  refresh(options?: { readonly everything?: boolean }): Promise<void>;
  /** Ends it; from then on nothing is told. */
  dispose(): Promise<void>;
}

/** Runs that a look says something about. */
interface Concerned {
  /** Their files may have something new. */
  readonly written: readonly string[];
  /** Their processes tell something else than at the last look. */
  readonly restated: readonly string[];
}

/** So many rows are copied from thread to thread at once: more would make the host's thread wait. */
const rowsTogether = 500;

const emptyStore: RunReader = {
  list: () => Promise.resolve({ runs: [], total: 0 }),
  show: () => Promise.resolve(undefined),
  curves: (queries) =>
    Promise.resolve(
      queries.map(({ run, metric }) => {
        const nothing = new Float64Array();
        return { run, metric, step: nothing, epoch: nothing, time: nothing, value: nothing, total: 0 };
      }),
    ),
  comparison: () => Promise.resolve([]),
  logs: () => Promise.resolve([]),
};

const newestFirst = { sort: { by: 'id', descending: true }, limit: rowsTogether } as const;

/** Rows as the database has them, every run's without `ids`. */
async function* rowsOf(opened: Store, ids?: readonly string[]): AsyncGenerator<RunSummary> {
  for (let offset = 0; ; offset += rowsTogether) {
    const some = ids?.slice(offset, offset + rowsTogether);
    if (some?.length === 0) return;
    const page = await opened.list(some === undefined ? { ...newestFirst, offset } : { ids: some });
    yield* page.runs;
    if (some === undefined && page.runs.length < rowsTogether) return;
  }
}

/** Begins to watch the runs of one folder: more often while some are under way, and all of them now and then. */
export function watchFolder(options: WatchOptions): FolderWatch {
  const timing: WatchTiming = { busyMs: 500, idleMs: 3000, everythingMs: 60_000, ...options.timing };
  const runs = new Map<string, RunSummary>();
  let statuses = new Map<string, ClaimedLook>();
  let queue = idleQueue;
  let store: Store | undefined;
  // By the clock that nobody sets.
  let lastEverything = -Infinity;
  let wantsEverything = false;
  let disposed = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let current: Promise<void> | undefined;
  let lastProblem = '';
  let markReady: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => (markReady = resolve));

  /** To who has disposed of the watch nothing is told, though a look may still be under way. */
  const unlessDisposed =
    <T>(tellOf: (told: T) => void) =>
    (told: T): void => {
      if (!disposed) tellOf(told);
    };
  const onChange = unlessDisposed(options.onChange);
  const onTransitions = unlessDisposed(options.onTransitions);
  const onLook = unlessDisposed(options.onLook);
  const onProblem = unlessDisposed(options.onProblem);

  function present<R extends RunSummary>(run: R): R {
    const status = statuses.get(run.id);
    return status === undefined ? run : withStatus(run, { state: status.state, ...reasonOf(status) });
  }

  function tell(transitions: Transition[], run: RunSummary): void {
    const before = runs.get(run.id);
    if (before !== undefined && before.state !== run.state) transitions.push({ run, before: before.state });
    runs.set(run.id, run);
  }

  /** The newest runs as the database has them from before: something to look at while the files are read. */
  async function showKnown(opened: Store): Promise<void> {
    const { runs: known } = await opened.list(newestFirst);
    for (const run of known) runs.set(run.id, present(run));
    if (known.length > 0) onChange({ changed: [], removed: [], everything: true });
  }

  async function loadEverything(opened: Store): Promise<void> {
    const present_ = new Set<string>();
    for await (const run of rowsOf(opened)) {
      present_.add(run.id);
      runs.set(run.id, present(run));
    }
    for (const id of [...runs.keys()]) if (!present_.has(id)) runs.delete(id);
    onChange({ changed: [], removed: [], everything: true });
  }

  /**
   * Takes the rows of runs from the database. Another window or a command line may have read their files into it, and then this
   * one's reading finds nothing new: whether a row is news shows by comparing it with the one that was shown.
   * @param ids undefined for every run
   * @param isRead what this one read in the files; it is told of even where the row stayed as it was
   */
  async function takeRows(
    opened: Store,
    ids: readonly string[] | undefined,
    isRead: ReadonlySet<string>,
    removed: readonly string[],
  ): Promise<void> {
    const changed: RunSummary[] = [];
    const transitions: Transition[] = [];
    const listed = new Set<string>();
    for await (const row of rowsOf(opened, ids)) {
      listed.add(row.id);
      const run = present(row);
      if (!isRead.has(run.id) && isDeepStrictEqual(runs.get(run.id), run)) continue;
      tell(transitions, run);
      changed.push(run);
    }
    // A run that is marked as deleted is listed no more, whether or not its folder is there.
    const gone = [...removed, ...(ids ?? runs.keys())].filter((id) => !listed.has(id) && runs.delete(id));
    if (changed.length > 0 || gone.length > 0) onChange({ changed, removed: gone, everything: false });
    if (transitions.length > 0) onTransitions(transitions);
  }

  /** Takes in what a look tells of the queue and of processes; whose rows that concerns is for {@link readRuns}. */
  function takeLook(look: Look): Concerned {
    const [statusesBefore, waitingBefore] = [statuses, queue.waiting];
    statuses = new Map(look.claimed.map((claimed) => [claimed.id, claimed]));
    queue = { claimed: look.claimed, waiting: look.waiting ?? waitingBefore, supervised: look.supervised };
    const claimed = [...new Set([...statusesBefore.keys(), ...statuses.keys()])];
    const moved = differing(waitingBefore, queue.waiting);
    return {
      written: [...new Set([...claimed, ...moved, ...look.appeared, ...look.gone])],
      restated: claimed.filter((id) => {
        const [before, now] = [statusesBefore.get(id), statuses.get(id)];
        return before?.state !== now?.state || before?.unseen !== now?.unseen;
      }),
    };
  }

  function forgetRuns(): void {
    if (runs.size === 0) return;
    runs.clear();
    onChange({ changed: [], removed: [], everything: true });
  }

  async function readFirst(): Promise<void> {
    store = await options.openStore();
    await showKnown(store);
    await store.ingest();
    lastEverything = performance.now();
    await loadEverything(store);
  }

  async function readRuns(opened: Store, { written, restated }: Concerned): Promise<void> {
    const all = wantsEverything || performance.now() - lastEverything > timing.everythingMs;
    wantsEverything = false;
    if (all) lastEverything = performance.now();
    if (!all && written.length === 0) return;
    const report = await opened.ingest(all ? undefined : written);
    const isRead = new Set([...report.changed, ...restated]);
    await takeRows(opened, all ? undefined : [...new Set([...isRead, ...written])], isRead, report.removed);
  }

  async function lookOnce(): Promise<void> {
    const look = await options.look();
    if (disposed) return;
    const concerned = takeLook(look);
    if (!look.exists) forgetRuns();
    else if (store === undefined) await readFirst();
    else await readRuns(store, concerned);
    onLook(queue);
    lastProblem = '';
  }

  async function round(): Promise<void> {
    clearTimeout(timer);
    try {
      await lookOnce();
    } catch (problem) {
      // Every round meets it anew; once is enough to know.
      const text = String(problem);
      if (text !== lastProblem) onProblem(problem);
      lastProblem = text;
    }
    markReady();
    schedule();
  }

  function schedule(): void {
    if (disposed) return;
    const busy = queue.claimed.length > 0 || (queue.waiting.length > 0 && queue.supervised);
    timer = setTimeout(() => void run(), busy ? timing.busyMs : timing.idleMs);
  }

  const lookAgain = oneAtATime(round, () => disposed);

  function run(): Promise<void> {
    clearTimeout(timer);
    current = lookAgain();
    return current;
  }

  const asking =
    <A extends readonly unknown[], T>(
      ask: (reader: RunReader) => (...given: A) => Promise<T>,
      mend: (answer: T) => T = (answer) => answer,
    ) =>
    async (...given: A): Promise<T> => {
      await ready;
      return mend(await ask(store ?? emptyStore)(...given));
    };

  const reader: RunReader = {
    list: asking(
      (from) => from.list.bind(from),
      (page) => ({ ...page, runs: page.runs.map(present) }),
    ),
    show: asking(
      (from) => from.show.bind(from),
      (run) => (run === undefined ? undefined : present(run)),
    ),
    curves: asking((from) => from.curves.bind(from)),
    comparison: asking(
      (from) => from.comparison.bind(from),
      (rows) => rows.map(present),
    ),
    logs: asking((from) => from.logs.bind(from)),
  };

  void run();
  return {
    runs,
    reader,
    ready,
    queue: () => queue,
    isUnseen: (id) => statuses.get(id)?.unseen === true,
    refresh: ({ everything = false } = {}) => {
      wantsEverything ||= everything;
      return run();
    },
    async dispose() {
      disposed = true;
      clearTimeout(timer);
      markReady();
      await current;
      await store?.close();
    },
  };
}

/** Runs that wait now and did not, or the other way round: queued again, taken up, or called off. */
function differing(before: readonly WaitingLook[], now: readonly WaitingLook[]): readonly string[] {
  const [old, current] = [new Set(before.map(({ id }) => id)), new Set(now.map(({ id }) => id))];
  return [...[...old].filter((id) => !current.has(id)), ...[...current].filter((id) => !old.has(id))];
}

function reasonOf({ reason }: ClaimedLook): { readonly reason?: string } {
  return reason === undefined ? {} : { reason };
}
