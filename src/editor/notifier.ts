import * as vscode from 'vscode';
import type { RunSummary } from '../store/summaries.ts';
import type { RunRef } from './app.ts';
import { t } from './core/l10n.ts';
import type { Transition } from './core/folder-watch.ts';
import { noticesOf, type Notice } from './core/notices.ts';
import { shortName } from './core/run-item.ts';
import { withoutLinks } from './core/text.ts';
import type { ExtensionApp } from './extension-app.ts';
import type { WatchedFolder } from './folders.ts';
import { noticeLevel, setNoticeLevel } from './settings.ts';

/** Shows notices one at a time, in their order. */
export interface Notifier {
  ended(folder: WatchedFolder, transitions: readonly Transition[]): void;
  /** At the start: tells of runs that were cut off or wait since an earlier session, and offers to go on with them. */
  adopted(): void;
}

const patienceMs = 15_000;

/** Not waited for beyond a moment: a notice that nobody closes must not hold back the next. */
async function patiently(answered: Promise<void>): Promise<void> {
  await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, patienceMs))]);
}

const lastSeenKey = 'lastSeen';
const seenEveryMs = 60_000;

/** Runs that broke off while no window looked: since the last session, or found dead just now. */
function interruptedSince(folder: WatchedFolder, since: number): readonly RunSummary[] {
  const found = new Set(folder.queue().claimed.map(({ id }) => id));
  return [...folder.runs.values()].filter(
    (run) => run.state === 'interrupted' && (found.has(run.id) || (run.endedAt ?? 0) > since),
  );
}

function refs(folder: WatchedFolder, notice: Pick<Notice, 'runs'>): readonly RunRef[] {
  return notice.runs.map(({ id }) => ({ folder: folder.key, id }));
}

/** Tells the user of runs as they end, and once at the start of those that broke off since an earlier session. */
export function notifier(app: ExtensionApp): Notifier {
  const { workspaceState, subscriptions } = app.context;
  const lastSeen = workspaceState.get(lastSeenKey, Date.now());
  const see = (): void => void workspaceState.update(lastSeenKey, Date.now());
  see();
  const timer = setInterval(see, seenEveryMs);
  subscriptions.push({ dispose: () => clearInterval(timer) });
  let last: Promise<void> = Promise.resolve();

  function enqueue(show: () => Promise<void>): void {
    last = last.then(show).catch((problem: unknown) => app.report(problem));
  }

  async function act(folder: WatchedFolder, notice: Notice): Promise<void> {
    const runs = refs(folder, notice);
    const [first] = runs;
    if (first === undefined) return;
    switch (notice.offer) {
      case 'open':
        return app.openRun(first);
      case 'compare':
        return app.openComparison({ kind: 'runs', runs });
      case 'logs':
        await app.actions.showLogs(first);
        return;
      case 'resume':
        await app.actions.resume(runs);
        return;
    }
  }

  function offerText(offer: Notice['offer']): string {
    switch (offer) {
      case 'open':
        return t('Open Run');
      case 'compare':
        return t('Compare');
      case 'logs':
        return t('Show Logs');
      case 'resume':
        return t('Resume');
    }
  }

  async function show(folder: WatchedFolder, notice: Notice): Promise<void> {
    const offer = offerText(notice.offer);
    const quiet = t("Don't Show Again");
    const say =
      notice.level === 'error'
        ? vscode.window.showErrorMessage
        : notice.level === 'warning'
          ? vscode.window.showWarningMessage
          : vscode.window.showInformationMessage;
    const answered = Promise.resolve(say(notice.message, offer, quiet)).then(async (chosen) => {
      if (chosen === offer) await act(folder, notice);
      if (chosen === quiet) await setNoticeLevel(notice.level === 'information' ? 'problems' : 'none');
    });
    await patiently(answered.catch(app.report));
  }

  async function offerToGoOn(folder: WatchedFolder): Promise<void> {
    if (noticeLevel() === 'none' || !folder.isPaused()) return;
    const start = t('Start Queue');
    const count = folder.queue().waiting.length;
    const message =
      count === 1
        ? t('1 run waits in the queue of {0}.', folder.name)
        : t('{0} runs wait in the queue of {1}.', count, folder.name);
    const answered = Promise.resolve(vscode.window.showInformationMessage(message, start)).then(async (chosen) => {
      if (chosen !== start) return;
      folder.startQueue();
      await folder.refresh();
    });
    await patiently(answered.catch(app.report));
  }

  return {
    ended(folder, transitions) {
      for (const notice of noticesOf(transitions, folder.runs, noticeLevel())) enqueue(() => show(folder, notice));
    },
    adopted() {
      if (!vscode.workspace.isTrusted) return;
      for (const folder of app.folders) {
        const runs = interruptedSince(folder, lastSeen);
        const [only, another] = runs;
        if (only !== undefined && noticeLevel() !== 'none')
          enqueue(() =>
            show(folder, {
              level: 'warning',
              message:
                another === undefined
                  ? t('{0} was interrupted. It can go on from its last checkpoint.', withoutLinks(shortName(only)))
                  : t('{0} runs were interrupted. They can go on from their last checkpoints.', runs.length),
              runs,
              offer: 'resume',
            }),
          );
        enqueue(() => offerToGoOn(folder));
      }
    },
  };
}
