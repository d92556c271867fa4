import { messageOf } from '../../base/errors.ts';
import { oneAtATime } from '../../base/one-at-a-time.ts';
import type { PrivacyAudit } from '../../runs/audit.ts';
import type { RunPrivacy } from '../../runs/run-privacy.ts';
import type { Store } from '../../store/store.ts';
import { runPanelMessage, type HostMessage, type Question, type RunCommand } from '../../webviews/protocol.ts';
import { tabTitle } from '../core/run-item.ts';
import { shareFeed } from './feed-sender.ts';
import { pageListener } from './page-listener.ts';
import type { LocalCurve } from '../worker/operations.ts';
import { artifactsOf, runValues, type RunFile } from './run-values.ts';

/** The host's side of a run panel, without the editor: it reads the store and answers the page. */
export interface RunSession {
  /** Takes whatever the page posts. */
  readonly receive: (message: unknown) => void;
  /** Looks at the run again and sends what has changed. Calls while it looks are one more look. */
  readonly refresh: () => Promise<void>;
  /** Gives up what it is doing. */
  readonly dispose: () => void;
}

/** What the worker answers about the run's privacy, when somebody looks at it. */
export interface RunPrivacyAnswers {
  readonly record: () => Promise<RunPrivacy | undefined>;
  readonly local: (points: number) => Promise<readonly LocalCurve[]>;
  readonly audit: () => Promise<PrivacyAudit>;
}

export interface RunSessionOptions {
  readonly id: string;
  /** Tells this session's feed from those before it. */
  readonly feed: string;
  /** Undefined while the run's folder is not in the workspace. */
  readonly store: () => Pick<Store, 'show' | 'curves' | 'logs'> | undefined;
  readonly files: () => Promise<readonly RunFile[]>;
  readonly privacy: RunPrivacyAnswers;
  readonly canStart: () => boolean;
  /** A machine holds the run that cannot be seen from here. */
  readonly isUnseen: () => boolean;
  readonly post: (message: HostMessage) => void;
  readonly onCommand: (command: RunCommand) => void;
  /** A file of those that were listed. */
  readonly onReveal: (path: string) => void;
  /** What went wrong in the page, or what it should not have said. */
  readonly onProblem: (message: string) => void;
  readonly onTitle: (title: string) => void;
}

/** As messages have no infinity, an epsilon without bound is null. */
function finiteOf({ computed, recorded, accountant }: NonNullable<PrivacyAudit['epsilon']>) {
  const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
  return { computed: finite(computed), accountant, ...(recorded === undefined ? {} : { recorded: finite(recorded) }) };
}

/** Makes the session of one panel. */
export function makeRunSession(options: RunSessionOptions): RunSession {
  const { id, post } = options;
  const feed = shareFeed(options.feed, post);
  const ending = new AbortController();
  const isOver = (): boolean => ending.signal.aborted;
  let files: readonly RunFile[] = [];
  let filesOf: string | undefined;
  /** Pages that were made: the editor throws a hidden one away, and the next counts its questions from the beginning. */
  let pages = 0;

  async function look(): Promise<void> {
    try {
      const run = await options.store()?.show(id, { signal: ending.signal });
      if (run === undefined) {
        feed.replace([['trouble', { kind: 'gone' }]]);
        return;
      }
      // Files come with checkpoints and at the end; to list them each second would be for nothing.
      const mark = JSON.stringify([run.state, run.segments, run.checkpoints]);
      if (mark !== filesOf) {
        files = await options.files();
        filesOf = mark;
      }
      feed.replace([
        ...runValues(run, { canStart: options.canStart(), isUnseen: options.isUnseen() }),
        ['artifacts', artifactsOf(files, run)],
      ]);
      options.onTitle(tabTitle(run));
    } catch (error) {
      if (isOver()) return;
      feed.set([['trouble', { kind: 'error', message: messageOf(error) }]]);
    }
  }

  async function lookAndSend(): Promise<void> {
    await look();
    if (!isOver()) feed.send();
  }

  const refresh = oneAtATime(lookAndSend, isOver);

  async function answer(question: Question): Promise<unknown> {
    switch (question.kind) {
      case 'privacy':
        return (await options.privacy.record()) ?? null;
      case 'localCurves':
        return options.privacy.local(question.points);
      case 'audit': {
        const { verdict, epsilon, findings, assumptions } = await options.privacy.audit();
        return { verdict, findings, assumptions, ...(epsilon === undefined ? {} : { epsilon: finiteOf(epsilon) }) };
      }
      default:
        return fromStore(question);
    }
  }

  async function fromStore(question: Extract<Question, { kind: 'log' | 'curves' }>): Promise<unknown> {
    const store = options.store();
    const { signal } = ending;
    if (store === undefined) return [];
    if (question.kind === 'log') {
      const { after, limit } = question;
      return store.logs({ run: id, limit, ...(after === undefined ? {} : { after }) }, { signal });
    }
    if (question.queries.length === 0) return [];
    const curves = await store.curves(
      question.queries.map(({ metric, points, fromStep, toStep, smoothing }) => ({
        run: id,
        metric,
        points,
        ...(fromStep === undefined ? {} : { fromStep }),
        ...(toStep === undefined ? {} : { toStep }),
        ...(smoothing === undefined ? {} : { smoothing }),
      })),
      { signal },
    );
    return curves.map(({ run: _, ...curve }) => curve);
  }

  return {
    receive: pageListener({
      page: 'the run panel',
      schema: runPanelMessage,
      feed,
      onProblem: options.onProblem,
      onReady() {
        pages += 1;
        void refresh();
      },
      onMessage(message) {
        switch (message.type) {
          case 'ask': {
            const page = pages;
            const tell = (reply: HostMessage): void => {
              // Of another page it would be the answer to something else.
              if (!isOver() && page === pages) post(reply);
            };
            answer(message.question).then(
              (value) => tell({ type: 'answer', id: message.id, value }),
              (error: unknown) => tell({ type: 'refused', id: message.id, message: messageOf(error) }),
            );
            return;
          }
          case 'command':
            options.onCommand(message.command);
            return;
          case 'revealFile':
            if (files.some(({ path }) => path === message.path)) options.onReveal(message.path);
            return;
        }
      },
    }),
    refresh,
    dispose: () => ending.abort(),
  };
}
