import * as vscode from 'vscode';
import { UserError } from '../base/errors.ts';
import { grouped } from '../base/format.ts';
import type { Untimed } from '../runs/marks.ts';
import type { RunActions, RunRef, StartOptions } from './app.ts';
import { t } from './core/l10n.ts';
import { shortName } from './core/run-item.ts';
import { submittedText } from './core/submitted-text.ts';
import { unseenQuestion } from './core/unseen-runs.ts';
import { oneLine, withoutLinks } from './core/text.ts';
import type { ExtensionApp } from './extension-app.ts';
import type { WatchedFolder } from './folders.ts';
import { logUri } from './log-documents.ts';
import { freeConfiguration, openNewConfiguration } from './new-configuration.ts';
import { isTrusted } from './report.ts';
import { reveal } from './reveal.ts';
import { askBudget } from './ask-budget.ts';
import { askForTags } from './ask-tags.ts';
import type { UnseenRun } from './worker/operations.ts';

/** From so many runs on it is asked whether all of them were meant. */
const manyRuns = 50;

interface InFolder {
  readonly folder: WatchedFolder;
  readonly ids: readonly string[];
}

/** What changes runs: each action checks trust, asks what has to be asked, and reports what goes wrong. */
export function runActions(app: ExtensionApp): RunActions {
  const { worker } = app;

  function byFolder(runs: readonly RunRef[]): readonly InFolder[] {
    const ids = new Map<WatchedFolder, string[]>();
    for (const { folder: key, id } of runs) {
      const folder = app.folder(key);
      if (folder === undefined) continue;
      const own = ids.get(folder);
      if (own === undefined) ids.set(folder, [id]);
      else own.push(id);
    }
    return [...ids].map(([folder, own]) => ({ folder, ids: own }));
  }

  /**
   * Does something in each folder, then looks at what came of it.
   * @param work answers false where the user would rather not
   * @returns false where it was not allowed, declined, or failed
   */
  async function inEach(runs: readonly RunRef[], work: (each: InFolder) => Promise<unknown>): Promise<boolean> {
    if (runs.length === 0 || !(await isTrusted())) return false;
    const places = byFolder(runs);
    if (places.length === 0) {
      void app.report(new UserError(t('The folder of these runs is not open in this window.')));
      return false;
    }
    try {
      for (const each of places) if ((await work(each)) === false) return false;
      return true;
    } catch (problem) {
      void app.report(problem);
      return false;
    } finally {
      await Promise.all(places.map(({ folder }) => folder.refresh()));
    }
  }

  /** As `act`, but the user is told of what goes wrong. */
  const reported =
    (act: (run: RunRef) => Promise<boolean>) =>
    async (run: RunRef): Promise<boolean> => {
      try {
        return await act(run);
      } catch (problem) {
        void app.report(problem);
        return false;
      }
    };

  function mark(runs: readonly RunRef[], marks: readonly Untimed[]): Promise<boolean> {
    if (marks.length === 0) return Promise.resolve(true);
    return inEach(runs, async ({ folder, ids }) => {
      await worker.ask('mark', { folder: folder.path, ids, marks });
      await folder.refresh({ everything: true });
    });
  }

  /** Those of the runs that machines hold which cannot be seen from here. @throws UserError */
  async function unseenAmong(runs: readonly RunRef[]): Promise<readonly (UnseenRun & RunRef)[]> {
    const found = await Promise.all(
      byFolder(runs).map(async ({ folder, ids }) => {
        const unseen = await worker.ask('unseen', { folder: folder.path, ids });
        return unseen.map((run) => ({ ...run, folder: folder.key }));
      }),
    );
    return found.flat();
  }

  /** Asks whether runs are to be taken from machines that cannot be seen. */
  async function askUnseen(deed: 'resume' | 'delete', unseen: readonly (UnseenRun & RunRef)[], all: number) {
    const named = unseen.map((run) => ({ ...run, name: nameOf(run) }));
    const { message, detail, yes } = unseenQuestion(deed, named, all, Date.now());
    return (await vscode.window.showWarningMessage(message, { modal: true, detail }, yes)) === yes;
  }

  function idsIn({ key }: WatchedFolder, runs: readonly RunRef[]): readonly string[] {
    return runs.filter(({ folder }) => folder === key).map(({ id }) => id);
  }

  function nameOf(run: RunRef): string {
    const row = app.run(run);
    return row === undefined ? run.id : shortName(row);
  }

  /** The document of a configuration, saved if need be; a new file is taken as the editor has it. @throws UserError */
  async function documentOf(file: vscode.Uri): Promise<{ readonly file: string; readonly text?: string }> {
    const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === file.toString());
    const text = document === undefined ? undefined : await submittedText(document);
    return { file: file.fsPath, ...(text === undefined ? {} : { text }) };
  }

  function folderFor(file: vscode.Uri): WatchedFolder | undefined {
    const own = vscode.workspace.getWorkspaceFolder(file.with({ scheme: 'file' }));
    return (own === undefined ? undefined : app.folder(own.uri.toString())) ?? app.folders[0];
  }

  async function start(
    file: vscode.Uri,
    { overrides = [], onlyFirst = false }: StartOptions = {},
  ): Promise<readonly RunRef[]> {
    if (!(await isTrusted())) return [];
    if (file.scheme !== 'file' && file.scheme !== 'untitled') {
      const what = t('{0} is no file of the machine that trains, so nothing was started.', file.toString(true));
      void app.report(new UserError(what, t('Save it in a folder of this window.')));
      return [];
    }
    const folder = folderFor(file);
    if (folder === undefined) {
      void vscode.window.showWarningMessage(t('Open a folder first: runs are kept in its .peft folder.'));
      return [];
    }
    try {
      const given = await documentOf(file);
      const text = given.text ?? (await vscode.workspace.openTextDocument(file)).getText();
      const { runs = 1 } = await worker.ask('inspect', { file: given.file, text });
      if (!onlyFirst && runs >= manyRuns && !(await confirmMany(runs))) return [];
      const submission = { folder: folder.path, ...given, overrides, onlyFirst };
      const allowed = await askBudget(() => worker.ask('budgetBreaches', submission));
      if (allowed === undefined) return [];
      const ids = await vscode.window.withProgress(
        { location: vscode.ProgressLocation.Window, title: t('Queueing runs…') },
        () => worker.ask('submit', { ...submission, exceedsBudget: allowed.exceeds }),
      );
      folder.startQueue();
      await folder.refresh();
      return ids.map((id) => ({ folder: folder.key, id }));
    } catch (problem) {
      void app.report(problem);
      return [];
    }
  }

  async function confirmMany(runs: number): Promise<boolean> {
    const yes = t('Start {0} Runs', runs);
    const chosen = await vscode.window.showWarningMessage(
      t('The configuration describes {0} runs.', runs),
      { modal: true, detail: t('They are trained one after the other, as many at once as devices have slots.') },
      yes,
    );
    return chosen === yes;
  }

  async function askDelete(only: RunRef, count: number): Promise<boolean> {
    const yes = t('Delete');
    const question =
      count === 1
        ? t('Delete the run “{0}” with all its files?', withoutLinks(nameOf(only)))
        : t('Delete {0} runs with all their files?', count);
    const detail = t('Checkpoints, metrics and logs go with it. This cannot be undone.');
    return (await vscode.window.showWarningMessage(question, { modal: true, detail }, yes)) === yes;
  }

  return {
    start,
    saveCheckpoint: (runs) =>
      inEach(runs, async ({ folder, ids }) => {
        const steps = await vscode.window.withProgress(
          { location: vscode.ProgressLocation.Window, title: t('Saving a checkpoint…') },
          () => Promise.all(ids.map((id) => worker.ask('saveCheckpoint', { folder: folder.path, id }))),
        );
        const [step = 0] = steps;
        const told =
          steps.length === 1 ? t('Checkpoint at step {0}', grouped(step)) : t('{0} checkpoints saved', steps.length);
        vscode.window.setStatusBarMessage(`$(save) ${told}`, 5000);
      }),
    stop: (runs, { force = false } = {}) =>
      inEach(runs, ({ folder, ids }) => worker.ask('stop', { folder: folder.path, ids, force })),
    async resume(runs) {
      if (runs.length === 0 || !(await isTrusted())) return false;
      try {
        // What has finished is refused, whoever holds it.
        const unseen = (await unseenAmong(runs)).filter(({ state }) => state !== 'finished');
        if (unseen.length > 0 && !(await askUnseen('resume', unseen, runs.length))) return false;
        return await inEach(runs, async ({ folder, ids }) => {
          const allowed = await askBudget(() => worker.ask('resumeBreaches', { folder: folder.path, ids }));
          if (allowed === undefined) return false;
          const givenUp = idsIn(folder, unseen);
          await worker.ask('resume', { folder: folder.path, ids, exceedsBudget: allowed.exceeds, givenUp });
          folder.startQueue();
          return true;
        });
      } catch (problem) {
        void app.report(problem);
        return false;
      }
    },
    async clone(run) {
      const folder = app.folder(run.folder);
      if (folder === undefined) return false;
      try {
        const clone = await worker.ask('clone', { folder: folder.path, id: run.id });
        await openNewConfiguration(await freeConfiguration(clone.folder, `${clone.name}-copy`), clone.text);
        return true;
      } catch (problem) {
        void app.report(problem);
        return false;
      }
    },
    async remove(runs) {
      const [only] = runs;
      if (only === undefined || !(await isTrusted())) return false;
      try {
        const unseen = await unseenAmong(runs);
        const isMeant =
          unseen.length > 0 ? await askUnseen('delete', unseen, runs.length) : await askDelete(only, runs.length);
        if (!isMeant) return false;
        return await inEach(runs, ({ folder, ids }) =>
          worker.ask('remove', { folder: folder.path, ids, givenUp: idsIn(folder, unseen) }),
        );
      } catch (problem) {
        void app.report(problem);
        return false;
      }
    },
    async tag(runs, tags) {
      if (tags !== undefined)
        return mark(
          runs,
          tags.map((tag) => ({ type: 'tag', tag: tag.trim() })),
        );
      if (runs.length === 0 || !(await isTrusted())) return false;
      const marks = await askForTags(app, runs);
      return marks === undefined ? false : mark(runs, marks);
    },
    async note(run, text) {
      if (!(await isTrusted())) return false;
      const before = app.run(run)?.note ?? '';
      // The box has one line; a note that was written elsewhere may have several, and keeps them unless it is changed.
      const shown = oneLine(before);
      const given =
        text ??
        (await vscode.window.showInputBox({
          title: t('Note: {0}', nameOf(run)),
          prompt: t('Enter keeps it, an empty note removes it'),
          value: shown,
          ignoreFocusOut: true,
        }));
      if (given === undefined) return false;
      return given === (text === undefined ? shown : before) ? true : mark([run], [{ type: 'note', text: given }]);
    },
    star: (runs, on) => mark(runs, [{ type: 'star', on }]),
    openPlan: async (plan, begun) => (await import('./start-run.ts')).openPlan(app, plan, begun),
    showLogs: reported(async (run) => {
      const document = await vscode.workspace.openTextDocument(logUri(run, nameOf(run)));
      await vscode.languages.setTextDocumentLanguage(document, 'log');
      const editor = await vscode.window.showTextDocument(document, { preview: true });
      const end = new vscode.Position(Math.max(0, document.lineCount - 1), 0);
      editor.revealRange(new vscode.Range(end, end));
      return true;
    }),
    revealFolder: reported(async (run) => {
      const folder = app.folder(run.folder);
      if (folder === undefined) return false;
      await reveal(folder.runUri(run.id));
      return true;
    }),
  };
}
