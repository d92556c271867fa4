import * as vscode from 'vscode';
import { isRecord } from '../base/is-record.ts';
import type { RunSummary } from '../store/summaries.ts';
import type { ComparisonSelection, RunRef, StartOptions } from './app.ts';
import { t } from './core/l10n.ts';
import { refsOf, selectionOf } from './core/targets.ts';
import type { ExtensionApp } from './extension-app.ts';
import { Command, View, walkthroughId, type CommandId } from './ids.ts';
import { isTrusted } from './report.ts';

/** Every command: what it does, and what it asks for when it is called from the palette. Rarely used code loads when it is called. */

/** Tells that a tree's item was clicked. */
export const fromTree = 'tree';

type Handler = (...given: readonly unknown[]) => unknown;

function canStop({ state }: RunSummary): boolean {
  return state === 'starting' || state === 'running' || state === 'queued';
}

function canResume({ state }: RunSummary): boolean {
  return state === 'interrupted' || state === 'stopped' || state === 'failed';
}

function isOver(run: RunSummary): boolean {
  return !canStop(run) || run.state === 'queued';
}

interface Target {
  readonly title: string;
  readonly placeholder: string;
  readonly fits?: (run: RunSummary, ref: RunRef) => boolean;
  readonly nothing?: string;
}

function fileOf(given: unknown): vscode.Uri | undefined {
  return given instanceof vscode.Uri ? given : undefined;
}

/** What a caller of "Start Run" says beside the file; the editor itself passes other things on, which mean nothing here. */
function optionsOf(given: unknown): StartOptions {
  if (!isRecord(given)) return {};
  const { overrides, onlyFirst } = given;
  return {
    ...(Array.isArray(overrides)
      ? { overrides: overrides.filter((each): each is string => typeof each === 'string') }
      : {}),
    ...(onlyFirst === true ? { onlyFirst } : {}),
  };
}

/** Registers a handler for every command of the manifest. */
export function registerCommands(app: ExtensionApp): vscode.Disposable {
  const picks = () => import('./pick-runs.ts');

  /** A machine holds it that cannot be seen from here: the user is asked whether it is lost. */
  function isUnseen({ folder, id }: RunRef): boolean {
    return app.folder(folder)?.isUnseen(id) === true;
  }

  /** The runs that a command is meant for: those it was called on, else one that is asked for. */
  async function one(given: readonly unknown[], target: Target): Promise<RunRef | undefined> {
    // What was clicked, whatever else is selected.
    const [first] = refsOf(given.slice(0, 1), (node) => app.explorer.runsOf(node));
    if (first !== undefined) return first;
    const { pickRun, noRuns } = await picks();
    return pickRun(app, { nothing: noRuns(), ...target });
  }

  /** As {@link one}, of the runs that will train no more by themselves. */
  function ended(given: readonly unknown[], title: string, placeholder: string): Promise<RunRef | undefined> {
    return one(given, { title, placeholder, fits: (run) => !canStop(run), nothing: t('No run has ended yet.') });
  }

  /** As {@link one}, but all that are selected. */
  async function many(given: readonly unknown[], target: Target): Promise<readonly RunRef[]> {
    const refs = refsOf(given, (node) => app.explorer.runsOf(node));
    if (refs.length === 0) {
      const { pickRun, noRuns } = await picks();
      const chosen = await pickRun(app, { nothing: noRuns(), ...target });
      return chosen === undefined ? [] : [chosen];
    }
    const { fits } = target;
    // Of one run by itself the action says why it can't be done; among several it is passed over.
    if (fits === undefined || refs.length === 1) return refs;
    return refs.filter((ref) => {
      const run = app.run(ref);
      return run !== undefined && fits(run, ref);
    });
  }

  async function stop(given: readonly unknown[], force: boolean): Promise<void> {
    const runs = await many(given, {
      title: force ? t('Force Stop Run') : t('Stop Run'),
      placeholder: force
        ? t('The run that is to end at once, without another checkpoint')
        : t('The run that is to write a checkpoint and end'),
      fits: canStop,
      nothing: t('No run is under way.'),
    });
    await app.actions.stop(runs, { force });
  }

  async function saveCheckpoint(given: readonly unknown[]): Promise<void> {
    const runs = await many(given, {
      title: t('Save Checkpoint'),
      placeholder: t('The run that is to write a checkpoint and go on'),
      fits: ({ state }) => state === 'running',
      nothing: t('No run trains.'),
    });
    await app.actions.saveCheckpoint(runs);
  }

  async function compare(given: readonly unknown[]): Promise<void> {
    const selection = selectionOf(given, (node) => app.explorer.runsOf(node));
    if (selection !== undefined) return app.openComparison(selection);
    const chosen = app.explorer.selection();
    if (chosen.length > 1) return app.openComparison({ kind: 'runs', runs: chosen });
    const asked = await askSelection();
    if (asked !== undefined) await app.openComparison(asked);
  }

  async function compareSettings(given: readonly unknown[]): Promise<void> {
    const meant = refsOf(given, (node) => app.explorer.runsOf(node));
    const runs = meant.length > 0 ? meant : await askForSettings();
    if (runs.length > 0) await (await import('./settings-documents.ts')).compareSettings(app, runs);
  }

  async function askForSettings(): Promise<readonly RunRef[]> {
    const { pickRuns, noRuns } = await picks();
    return pickRuns(app, {
      title: t('Compare Settings'),
      placeholder: t('Two runs whose settings are shown beside each other'),
      nothing: noRuns(),
    });
  }

  async function askSelection(): Promise<ComparisonSelection | undefined> {
    const { pickSelection } = await import('./export-comparison.ts');
    return pickSelection(app);
  }

  async function star(given: readonly unknown[], on: boolean): Promise<void> {
    const runs = await many(given, {
      title: on ? t('Star Run') : t('Remove Star from Run'),
      placeholder: on ? t('The run to star') : t('The run to take the star off'),
      fits: (run) => run.starred !== on,
      nothing: on ? t('There is no run without a star.') : t('No run is starred.'),
    });
    await app.actions.star(runs, on);
  }

  const handlers: Readonly<Record<CommandId, Handler>> = {
    [Command.startRun]: async (...given) => {
      const { startFile, startRun } = await import('./start-run.ts');
      const file = fileOf(given[0]);
      return file === undefined ? startRun(app) : startFile(app, file, optionsOf(given[1]));
    },
    [Command.startSweep]: async (...given) => {
      const { startFile, startSweep } = await import('./start-run.ts');
      const file = fileOf(given[0]);
      return file === undefined ? startSweep(app) : startFile(app, file);
    },
    [Command.newConfiguration]: async () => (await import('./start-run.ts')).newConfiguration(app),
    [Command.saveCheckpoint]: (...given) => saveCheckpoint(given),
    [Command.stopRun]: (...given) => stop(given, false),
    [Command.forceStopRun]: (...given) => stop(given, true),
    [Command.cancelRun]: (...given) => stop(given, false),
    [Command.resumeRun]: async (...given) => {
      const runs = await many(given, {
        title: t('Resume Run'),
        placeholder: t('The run to go on with from its last checkpoint'),
        fits: (run, ref) => canResume(run) || (isUnseen(ref) && run.state !== 'finished'),
        nothing: t('No run can be resumed: none was stopped, failed or was interrupted.'),
      });
      await app.actions.resume(runs);
    },
    [Command.cloneRun]: async (...given) => {
      const run = await one(given, {
        title: t('Clone Run with Changes'),
        placeholder: t('The run whose configuration is taken'),
      });
      if (run !== undefined) await app.actions.clone(run);
    },
    [Command.compareRuns]: (...given) => compare(given),
    [Command.compareSettings]: (...given) => compareSettings(given),
    [Command.planPrivacyBudget]: () => app.openPlanner(),
    [Command.openRun]: async (...given) => {
      const run = await one(given, { title: t('Open Run'), placeholder: t('The run to look at') });
      // A click in a tree leaves the keyboard there.
      if (run !== undefined) await app.openRun(run, { preserveFocus: given[1] === fromTree });
    },
    [Command.showLogs]: async (...given) => {
      const run = await one(given, { title: t('Show Logs'), placeholder: t('The run whose log is shown') });
      if (run !== undefined) await app.actions.showLogs(run);
    },
    [Command.revealRunFolder]: async (...given) => {
      const run = await one(given, { title: t('Reveal Run Folder'), placeholder: t('The run whose folder is shown') });
      if (run !== undefined) await app.actions.revealFolder(run);
    },
    [Command.deleteRun]: async (...given) => {
      const runs = await many(given, {
        title: t('Delete Run'),
        placeholder: t('The run to delete with all its files'),
        fits: (run, ref) => isOver(run) || isUnseen(ref),
      });
      await app.actions.remove(runs);
    },
    [Command.tagRun]: async (...given) => {
      const runs = await many(given, { title: t('Tag Run'), placeholder: t('The run to tag') });
      await app.actions.tag(runs);
    },
    [Command.editNote]: async (...given) => {
      const run = await one(given, { title: t('Edit Note'), placeholder: t('The run whose note is edited') });
      if (run !== undefined) await app.actions.note(run);
    },
    [Command.starRun]: (...given) => star(given, true),
    [Command.unstarRun]: (...given) => star(given, false),
    [Command.copyRunId]: async (...given) => {
      const run = await one(given, { title: t('Copy Run ID'), placeholder: t('The run whose id is copied') });
      if (run !== undefined) await vscode.env.clipboard.writeText(run.id);
    },
    [Command.checkEnvironment]: async () => (await import('./check-environment.ts')).checkEnvironment(app),
    [Command.installCuda]: async () => (await import('./install-cuda.ts')).installCuda(app),
    [Command.predictRun]: async (...given) => {
      const run = await ended(given, t('Predict'), t('The run whose model predicts'));
      if (run !== undefined) await (await import('./predict-run.ts')).predictRun(app, run);
    },
    [Command.exportModel]: async (...given) => {
      const run = await ended(given, t('Export Model'), t('The run whose model is written'));
      if (run !== undefined) await (await import('./export-model.ts')).exportModel(app, run);
    },
    [Command.exportComparison]: async () => (await import('./export-comparison.ts')).exportComparison(app),
    [Command.refresh]: async () => {
      await vscode.window.withProgress({ location: { viewId: View.runs } }, () =>
        Promise.all(app.folders.map((folder) => folder.refresh({ everything: true }))),
      );
    },
    [Command.groupRuns]: () => app.explorer.askGrouping(),
    [Command.filterRuns]: () => app.explorer.askFilter(),
    [Command.clearFilter]: () => app.explorer.clearFilter(),
    [Command.showMore]: (...given) => app.explorer.showMore(given[0]),
    [Command.startQueue]: async () => {
      if (!(await isTrusted())) return;
      for (const folder of app.folders) folder.startQueue();
      await Promise.all(app.folders.map((folder) => folder.refresh()));
    },
    [Command.freeSpace]: async () => (await import('./free-space.ts')).freeSpace(app),
    [Command.showOutput]: () => app.log.show(),
    [Command.openWalkthrough]: () =>
      vscode.commands.executeCommand(
        'workbench.action.openWalkthrough',
        `${app.context.extension.id}#${walkthroughId}`,
        false,
      ),
  };

  return vscode.Disposable.from(
    ...Object.entries(handlers).map(([id, handler]) =>
      vscode.commands.registerCommand(id, async (...given: unknown[]) => {
        try {
          return await handler(...given);
        } catch (problem) {
          await app.report(problem);
          return undefined;
        }
      }),
    ),
  );
}
