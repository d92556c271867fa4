import { fileURLToPath } from 'node:url';
import { UserError } from '../base/errors.ts';
import { counted, score } from '../base/format.ts';
import { suggestion } from '../base/suggest.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import { loadConfiguration } from '../runs/configuration.ts';
import { providers } from '../runs/configuration-schema.ts';
import { journalCursor, journalEnd, journalStart, type JournalCursor } from '../runs/journal.ts';
import { readMarks } from '../runs/marks.ts';
import { findMissingProvider } from '../runs/missing-providers.ts';
import { planRuns } from '../runs/plan-runs.ts';
import { admitResumed, admitRuns } from '../runs/privacy-budget.ts';
import { readConfiguration, runFolder, type NewRun, type Workspace } from '../runs/run-folder.ts';
import { occupiedDevice, readQueue, requireResumable, resumeRuns, submitRuns } from '../runs/queue.ts';
import { hasEnded, isUnseen, runState } from '../runs/run-state.ts';
import { startSupervisor, superviseUntilIdle } from '../runs/supervise.ts';
import type { Supervisor } from '../runs/supervisor.ts';
import { labelLine, title } from '../store/run-text.ts';
import {
  makeSupervisor,
  makeWorkspace,
  readWorkspace,
  supervisorOptions,
  trainerEntry,
  withStore,
  type App,
} from './app.ts';
import { follow, type Telling } from './follow.ts';
import { plain, plainLines, printJson } from './output.ts';
import { findRuns, labelOf, listed } from './runs.ts';

/** The exit code after Ctrl-C, as shells have it. */
const INTERRUPTED = 130;

/** The exit code when the terminal was closed, as shells have it. */
const HUNG_UP = 129;

/** The configurations of files and what they are made from, ready to be runs. @throws FileError for whatever does not fit */
async function planFiles(files: readonly string[], overrides: readonly string[]): Promise<readonly NewRun[]> {
  const planned: (readonly NewRun[])[] = [];
  for (const file of files)
    planned.push(await planRuns(loadConfiguration(file, installedCatalogue), overrides, process.cwd()));
  return planned.flat();
}

export interface RunOptions {
  readonly set: readonly string[];
  /** Only tells what would be trained. */
  readonly dryRun: boolean;
  readonly detach: boolean;
  /** `cpu=2`: how many runs a device takes at once. */
  readonly slots: readonly string[];
  /** The user has said that the runs may go beyond the project's privacy budget. */
  readonly exceedBudget: boolean;
}

/** More runs than this are told of in a line each. */
const mostToldWhole = 4;

/** `peft-lab run FILE…`: makes the runs and trains them, here in the foreground or detached. @returns the exit code */
export async function runCommand(app: App, files: readonly string[], options: RunOptions): Promise<number> {
  const slots = askedSlots(options.slots);
  const planned = await planFiles(files, options.set);
  if (options.dryRun) {
    await admitRuns(readWorkspace(app), planned, { exceed: options.exceedBudget });
    tellPlanned(app, planned);
    // They may be meant for another machine.
    const missing = findMissingProvider(planned);
    if (missing !== undefined) app.terminal.err(`warning: ${plainLines(missing.message)}\n`);
    return 0;
  }
  const { code } = await startRuns(app, planned, { ...options, slots });
  return code;
}

/** What would be trained: a line for each run, or as JSON each whole configuration. */
function tellPlanned(app: App, planned: readonly NewRun[]): void {
  if (app.json) {
    printJson(app.terminal, {
      runs: planned.map(({ configuration, environment: { origin } }) => ({
        file: origin?.file,
        label: origin?.label ?? {},
        configuration,
      })),
    });
    return;
  }
  for (const { configuration, environment } of planned) {
    const { method, task, model, device } = configuration;
    const label = labelLine(environment.origin?.label ?? {});
    const parts = [`${method.id} on ${task.id}`, `${model.id}, ${device.provider}`, label];
    app.terminal.out(`${plain(parts.filter((part) => part !== '').join('  '))}\n`);
  }
  app.terminal.err(`${counted(planned.length, 'run')}; nothing was started\n`);
}

export interface StartOptions {
  readonly detach: boolean;
  readonly slots?: DeviceSlots;
  readonly exceedBudget: boolean;
}

/**
 * Submits runs and trains them, here in the foreground or detached.
 * @throws UserError where this machine lacks what one of them is to compute with, or the project's privacy budget does not allow them
 */
export async function startRuns(
  app: App,
  planned: readonly NewRun[],
  { detach: detached, slots = {}, exceedBudget }: StartOptions,
): Promise<{ readonly ids: readonly string[]; readonly code: number }> {
  const missing = findMissingProvider(planned);
  if (missing !== undefined) throw missing;
  const workspace = makeWorkspace(app);
  const ids = await submitRuns(workspace, await admitRuns(workspace, planned, { exceed: exceedBudget }));
  if (!app.json && !detached && ids.length > 1) app.terminal.err(`${counted(ids.length, 'run')}\n`);
  const code = detached
    ? detach(app, workspace, ids, slots)
    : await trainInForeground(app, workspace, ids, new Map(), slots);
  return { ids, code };
}

export interface ResumeOptions extends Pick<RunOptions, 'detach' | 'slots' | 'exceedBudget'> {
  /** Also runs whose trainer is on a machine that cannot be seen from here. */
  readonly force: boolean;
}

/** `peft-lab resume RUN…`: continues runs that ended before they were finished, from their last checkpoints. */
export async function resumeCommand(app: App, runs: readonly string[], options: ResumeOptions): Promise<number> {
  const slots = askedSlots(options.slots);
  const workspace = readWorkspace(app);
  const { force } = options;
  const found = findRuns(workspace, runs).map((id) => {
    const folder = runFolder(workspace, id);
    const status = runState(folder);
    const { state } = status;
    if (state === 'queued' || (!hasEnded(status) && !isUnseen(status)))
      throw new UserError(`the run ${id} is ${state} already`, `Watch it with: peft-lab logs -f ${id.slice(-6)}.`);
    requireResumable(id, status, { force });
    const configuration = readConfiguration(folder, installedCatalogue);
    return { id, from: journalCursor(folder), device: occupiedDevice(configuration.device), configuration };
  });
  await admitResumed(workspace, found, { exceed: options.exceedBudget });
  await resumeRuns(
    workspace,
    found.map(({ id, device }) => ({ run: id, device })),
    { force },
  );
  const ids = found.map(({ id }) => id);
  const cursors = new Map(found.map(({ id, from }) => [id, from]));
  if (options.detach) return detach(app, workspace, ids, slots);
  return trainInForeground(app, workspace, ids, cursors, slots);
}

/** Starts a process that looks after the queue until it is empty, and leaves it behind. */
function superviseInBackground(workspace: Workspace, slots: DeviceSlots): void {
  const bundled = import.meta.url.endsWith('.js');
  startSupervisor(workspace, {
    node: { path: process.execPath, version: process.versions.node, electron: false },
    entry: fileURLToPath(new URL(bundled ? './cli.js' : './main.ts', import.meta.url)),
    slots,
  });
}

function detach(app: App, workspace: Workspace, ids: readonly string[], slots: DeviceSlots): number {
  superviseInBackground(workspace, slots);
  if (app.json) printJson(app.terminal, { runs: ids.map((id) => ({ id, folder: runFolder(workspace, id) })) });
  else app.terminal.out(ids.map((id) => `${id}\n`).join(''));
  return 0;
}

export interface SuperviseCommandOptions {
  readonly node?: string;
  readonly slots: readonly string[];
  readonly adopt: boolean;
}

/** How many runs a device takes at once; one where nothing is said. */
type DeviceSlots = Readonly<Record<string, number>>;

/** As {@link slotsOf}, of a person, who is told of a device that there is none of: nothing would come of its slots. @throws UserError */
function askedSlots(texts: readonly string[]): DeviceSlots {
  const slots = slotsOf(texts);
  // auto is none: what it comes to takes the runs.
  const devices = providers.filter((provider) => provider !== 'auto');
  for (const device of Object.keys(slots))
    if (!devices.some((known) => known === device))
      throw new UserError(`--slots: there is no device "${device}" that takes runs`, suggestion(device, devices));
  return slots;
}

/** `cpu=2` as slots. @throws UserError */
function slotsOf(texts: readonly string[]): DeviceSlots {
  return Object.fromEntries(
    texts.map((text) => {
      const [, device = '', count = ''] = /^(\w+)=(\d+)$/.exec(text) ?? [];
      if (device === '' || Number(count) < 1)
        throw new UserError(`--slots: "${text}" is not of the form device=count`, 'For example cpu=2.');
      return [device, Number(count)] as const;
    }),
  );
}

/** `peft-lab supervise`: looks after the queue until nothing waits or runs. */
export async function superviseCommand(app: App, options: SuperviseCommandOptions): Promise<number> {
  const ending = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => ending.abort());
  await superviseUntilIdle({
    ...supervisorOptions(app, makeWorkspace(app), {
      startsQueued: !options.adopt,
      nodePath: options.node,
      slots: { perDevice: slotsOf(options.slots) },
    }),
    entry: trainerEntry(),
    signal: ending.signal,
  });
  return 0;
}

async function trainInForeground(
  app: App,
  workspace: Workspace,
  ids: readonly string[],
  cursors: ReadonlyMap<string, JournalCursor>,
  slots: DeviceSlots,
): Promise<number> {
  const hopeless = new AbortController();
  /** Runs whose own files keep them from being trained; the others go on. */
  const bad = new Map(ids.map((id) => [id, new AbortController()]));
  const supervisor = makeSupervisor(app, workspace, {
    startsQueued: true,
    slots: { perDevice: slots },
    onHopeless: (problem, run) => (run === undefined ? hopeless : bad.get(run))?.abort(problem),
  });
  const interrupt = stopOnInterrupt(app, supervisor, ids);
  const hangUp = handOverOnHangUp(app, workspace, slots, interrupt.happened);
  supervisor.start();
  try {
    const telling = ids.length > mostToldWhole ? 'end' : 'everything';
    for (const [at, id] of ids.entries()) {
      const title = shortTitle(workspace, id);
      const followed = {
        id,
        title: telling === 'end' ? `${at + 1}/${ids.length}  ${title}` : title,
        from: cursors.get(id),
        telling,
      } as const;
      const own = bad.get(id)?.signal ?? hopeless.signal;
      try {
        await followToEnd(app, supervisor, workspace, followed, AbortSignal.any([own, hopeless.signal]));
      } catch (error) {
        // It was told of when it was met.
        if (error !== own.reason) throw error;
      }
    }
  } finally {
    interrupt.dispose();
    hangUp.dispose();
    await supervisor.close();
  }
  const told = await report(app, workspace, ids);
  const code = [...bad.values()].some(({ signal }) => signal.aborted) ? 2 : told;
  return interrupt.happened() ? INTERRUPTED : code;
}

/** The short form of a run's id and what tells it from the others of its sweep. */
function shortTitle(workspace: Workspace, id: string): string {
  const label = labelLine(labelOf(runFolder(workspace, id)));
  return label === '' ? id.slice(-6) : `${id.slice(-6)} ${label}`;
}

/** Says why nothing happens where others train in this workspace too. */
function tellOfWaiting(app: App, workspace: Workspace, id: string, title: string): NodeJS.Timeout {
  return setTimeout(() => {
    if (runState(runFolder(workspace, id)).state !== 'queued') return;
    const queue = readQueue(workspace);
    const before = queue.slice(
      0,
      queue.findIndex(({ run }) => run === id),
    );
    if (before.length > 0) app.terminal.err(`${plain(title)}: waits for ${counted(before.length, 'run')} before it\n`);
  }, 2000);
}

interface Followed {
  readonly id: string;
  readonly title: string;
  readonly from: JournalCursor | undefined;
  readonly telling: Telling;
}

async function followToEnd(
  app: App,
  supervisor: Supervisor,
  workspace: Workspace,
  { id, title, from = journalStart, telling }: Followed,
  hopeless: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const waiting = tellOfWaiting(app, workspace, id, title);
  const following = follow(app.terminal, runFolder(workspace, id), { id, title }, done.signal, { from, telling });
  hopeless.addEventListener('abort', () => done.abort(), { once: true });
  const status = await supervisor.ended(id, hopeless).finally(() => clearTimeout(waiting));
  // What was written last is still to be shown.
  const enough = setTimeout(() => done.abort(), 500);
  const shown = await following;
  clearTimeout(enough);
  if (shown === undefined && status.state !== 'finished') {
    const reason = status.reason === undefined ? '' : `: ${plainLines(status.reason)}`;
    app.terminal.err(`${app.terminal.interactive ? '\r\u001b[2K' : ''}${plain(title)}: ${status.state}${reason}\n`);
  }
}

/** The first Ctrl-C asks every run to save and stop; the second leaves at once, and what runs goes on. */
function stopOnInterrupt(
  app: App,
  supervisor: Supervisor,
  ids: readonly string[],
): { happened: () => boolean; dispose: () => void } {
  let happened = false;
  const onSignal = (): void => {
    if (happened) process.exit(INTERRUPTED);
    happened = true;
    app.terminal.err('\nstopping after a checkpoint; Ctrl-C again to leave at once\n');
    // A run that has ended meanwhile needs no stopping.
    for (const id of ids) supervisor.stop(id).catch(() => undefined);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return {
    happened: () => happened,
    dispose: () => {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    },
  };
}

/**
 * When the terminal is closed what runs goes on, and what waits has to be started by somebody. Node does not keep `nohup`'s wish to ignore
 * that signal, so that it comes in any case.
 */
function handOverOnHangUp(
  app: App,
  workspace: Workspace,
  slots: DeviceSlots,
  isStopping: () => boolean,
): { readonly dispose: () => void } {
  const onSignal = (): void => {
    if (!isStopping()) {
      superviseInBackground(workspace, slots);
      app.terminal.err('\nthe terminal was closed; the runs go on in the background\n');
    }
    process.exit(HUNG_UP);
  };
  process.on('SIGHUP', onSignal);
  return { dispose: () => process.off('SIGHUP', onSignal) };
}

/** Whether a run ended for what the user has to mend, by its own files. */
function isForUser(workspace: Workspace, id: string): boolean {
  const folder = runFolder(workspace, id);
  const { state } = runState(folder);
  if (state === 'interrupted')
    return readMarks(folder).some((mark) => mark.type === 'interrupted' && mark.exitCode === 2);
  const end = journalEnd(folder)?.terminal;
  return state === 'failed' && end?.type === 'failed' && end.kind === 'user';
}

/** Prints how the runs ended. @returns 0 when all finished, 2 when one needs mending by the user, else 1 */
async function report(app: App, workspace: Workspace, ids: readonly string[]): Promise<number> {
  const states = ids.map((id) => runState(runFolder(workspace, id)).state);
  const code = ids.some((id) => isForUser(workspace, id)) ? 2 : states.every((state) => state === 'finished') ? 0 : 1;
  try {
    const { runs } = await withStore(app, (store) => store.list({ ids, limit: ids.length }));
    const inOrder = ids.flatMap((id) => runs.find((run) => run.id === id) ?? []).map((run) => listed(workspace, run));
    if (app.json) printJson(app.terminal, { runs: inOrder });
    else
      for (const run of inOrder) {
        const parts = [run.id, run.state, run.score === null ? '' : `score ${score(run.score)}`, title(run)];
        app.terminal.out(`${plain(parts.filter((part) => part !== '').join('  '))}\n`);
      }
  } catch (error) {
    // The database is a copy: without it the runs are what they are, and the exit code tells of them.
    if (app.json || !(error instanceof UserError)) throw error;
    app.terminal.err(`peft-lab: ${plainLines(error.message)}\n`);
    app.terminal.out(ids.map((id, index) => `${id}  ${states[index] ?? ''}\n`).join(''));
  }
  return code;
}
