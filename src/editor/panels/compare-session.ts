import { handedRun, withMethodTitle } from '../../analysis/compared-run.ts';
import { messageOf } from '../../base/errors.ts';
import type { ComparisonRow } from '../../store/comparison-rows.ts';
import type { RunFilter } from '../../store/listing.ts';
import type { Store } from '../../store/store.ts';
import { firstView, runKeyPrefix, type Scope, type View } from '../../webviews/compare/messages.ts';
import { comparePanelMessage, type HostMessage } from '../../webviews/protocol.ts';
import { methodTitles, taskTitles } from '../core/titles.ts';
import { shareFeed } from './feed-sender.ts';
import { pageListener } from './page-listener.ts';

/** The host's side of a comparison, without the editor. */
export interface CompareSession {
  readonly receive: (message: unknown) => void;
  /**
   * Looks at the runs again, or only at those of one source that have changed or are gone, and sends what is new. Calls follow one
   * another.
   */
  readonly refresh: (changes?: SourceChanges) => Promise<void>;
  /** How the page looks at the comparison, as it last said. */
  readonly view: () => View;
  /** Where a run of the comparison lies: the key of its source. */
  readonly sourceOf: (run: string) => string | undefined;
  readonly dispose: () => void;
}

export interface SourceChanges {
  readonly source: string;
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** A database with the runs of it that are compared. */
export interface CompareSource {
  /** The folder's key. */
  readonly key: string;
  readonly store: Pick<Store, 'comparison'>;
  readonly filter: RunFilter;
  readonly accepts?: (row: ComparisonRow) => boolean;
}

export interface CompareSessionOptions {
  readonly feed: string;
  readonly scope: () => Scope;
  readonly sources: () => readonly CompareSource[];
  readonly post: (message: HostMessage) => void;
  readonly onOpen: (source: string, run: string) => void;
  readonly onExport: () => void;
  readonly onProblem: (message: string) => void;
}

/** Makes the session of one panel. */
export function makeCompareSession(options: CompareSessionOptions): CompareSession {
  const feed = shareFeed(options.feed, options.post);
  const ending = new AbortController();
  const sources = new Map<string, string>();
  let view = firstView;
  let queue: Promise<void> = Promise.resolve();

  const isOver = (): boolean => ending.signal.aborted;

  async function rowsOf({ store, filter, accepts }: CompareSource, ids?: readonly string[]) {
    const own = filter.ids === undefined ? undefined : new Set(filter.ids);
    const wanted = own === undefined ? ids : ids?.filter((id) => own.has(id));
    const rows = await store.comparison(wanted === undefined ? filter : { ...filter, ids: wanted }, {
      signal: ending.signal,
    });
    return accepts === undefined ? rows : rows.filter(accepts);
  }

  function take(source: CompareSource, rows: readonly ComparisonRow[]): readonly (readonly [string, unknown])[] {
    return rows.map((row) => {
      sources.set(row.id, source.key);
      return [`${runKeyPrefix}${row.id}`, handedRun(withMethodTitle(row, methodTitles()))] as const;
    });
  }

  const about = (): readonly (readonly [string, unknown])[] => [
    ['scope', options.scope()],
    ['tasks', taskTitles()],
  ];

  async function lookAtAll(): Promise<void> {
    const found = await Promise.all(options.sources().map(async (source) => take(source, await rowsOf(source))));
    feed.replace([...about(), ...found.flat()]);
  }

  async function lookAt({ source: key, changed, removed }: SourceChanges): Promise<void> {
    const source = options.sources().find((each) => each.key === key);
    if (source === undefined) return;
    const values = take(source, changed.length === 0 ? [] : await rowsOf(source, changed));
    const found = new Set(values.map(([name]) => name));
    const gone = [...changed, ...removed].map((id) => `${runKeyPrefix}${id}`).filter((name) => !found.has(name));
    feed.set([...about(), ...values]);
    feed.remove(gone);
  }

  async function look(changes: SourceChanges | undefined): Promise<void> {
    if (isOver()) return;
    try {
      await (changes === undefined ? lookAtAll() : lookAt(changes));
      feed.remove(['trouble']);
    } catch (error) {
      if (isOver()) return;
      feed.set([['trouble', { message: messageOf(error) }]]);
    }
    feed.send();
  }

  return {
    receive: pageListener({
      page: 'the comparison',
      schema: comparePanelMessage,
      feed,
      onProblem: options.onProblem,
      onMessage(message) {
        switch (message.type) {
          case 'openRun': {
            const source = sources.get(message.run);
            if (source !== undefined) options.onOpen(source, message.run);
            return;
          }
          case 'view':
            view = message.view;
            return;
          case 'export':
            options.onExport();
            return;
        }
      },
    }),
    refresh(changes) {
      queue = queue.then(() => look(changes));
      return queue;
    },
    view: () => view,
    sourceOf: (run) => sources.get(run),
    dispose: () => ending.abort(),
  };
}
