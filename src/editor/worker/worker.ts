import { existsSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { basename, dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { compareRuns } from '../../analysis/comparison.ts';
import { isJsonObject } from '../../analysis/json.ts';
import { renderComparison } from '../../analysis/render.ts';
import { UserError } from '../../base/errors.ts';
import { likelyProvider } from '../../engine/device.ts';
import { knownEncoders } from '../../engine/encoders/known-sizes.ts';
import { readGpuUse } from '../../engine/graphics/gpu-use.ts';
import { readMachine } from '../../engine/graphics/machine.ts';
import { hindrances } from '../../engine/graphics/outlook.ts';
import { readProcessMemory } from '../../engine/graphics/process-memory.ts';
import { listLocalModels } from '../../engine/model-folder.ts';
import { pathBelow } from '../../engine/path-below.ts';
import { installedCatalogue } from '../../runs/catalogue.ts';
import { diskUse, pruneCheckpoints } from '../../runs/checkpoints.ts';
import {
  inspectConfiguration,
  loadConfiguration,
  parseConfiguration,
  startProblems,
} from '../../runs/configuration.ts';
import { configurationJsonSchema } from '../../runs/configuration-json-schema.ts';
import { providers } from '../../runs/configuration-schema.ts';
import { leaseFile, leaseState, readLease } from '../../runs/lease.ts';
import { localLauncher } from '../../runs/local-launcher.ts';
import { appendMarks } from '../../runs/marks.ts';
import { findMissingProvider } from '../../runs/missing-providers.ts';
import { chooseNode } from '../../runs/node-binary.ts';
import { countTrained, encoderSize, methodOptions, sizesOf, type SizedModel } from '../../runs/parameter-counts.ts';
import { planRuns } from '../../runs/plan-runs.ts';
import { admitResumed, admitRuns, budgetBreaches, resumeBreaches } from '../../runs/privacy-budget.ts';
import { readBudgets } from '../../runs/budget-file.ts';
import { occupiedDevice, readQueue, resumeRuns, submitRuns } from '../../runs/queue.ts';
import { removeRuns } from '../../runs/remove-run.ts';
import {
  listRuns,
  openWorkspace,
  readConfiguration,
  readEnvironment,
  runFolder,
  workspaceAt,
  type NewRun,
  type Workspace,
} from '../../runs/run-folder.ts';
import { hasEnded, isUnseen, runState, unseenHolder } from '../../runs/run-state.ts';
import { saveCheckpoint } from '../../runs/save-checkpoint.ts';
import { endSupervisor, livingSupervisor, startSupervisor } from '../../runs/supervise.ts';
import { createSupervisor } from '../../runs/supervisor.ts';
import { sweepSize } from '../../runs/sweep.ts';
import { databaseLocation } from '../../store/location.ts';
import { packError } from '../../store/operations.ts';
import { findTask } from '../../tasks/registry.ts';
import { cloneText } from '../core/clone.ts';
import { keptAnswers } from '../core/kept-answers.ts';
import { methodChoices, taskChoices, titles } from './catalogue.ts';
import { commandLine } from './command-line.ts';
import type {
  ClaimedLook,
  Look,
  OperationName,
  Operations,
  Reply,
  Request,
  RunUse,
  Submission,
  UnseenRun,
  WorkerSetting,
} from './operations.ts';
import { cudaInstallation, diagnosis, exportedModel, predicted, predictedTexts } from './printed.ts';
import { privacyAnswers } from './privacy.ts';
import { runLogs } from './run-log.ts';

/** The extension's worker thread; operations.ts says what it is asked. */

const setting = workerData as WorkerSetting;

type Answer<N extends OperationName> = (
  input: Operations[N]['input'],
  /** Aborted when nobody waits for the answer any longer. */
  signal: AbortSignal,
) => Operations[N]['output'] | Promise<Operations[N]['output']>;

/** What the last look at a folder saw, and who it was told. */
interface Seen {
  readonly watcher: string;
  readonly ids: ReadonlySet<string>;
  readonly waiting: string;
}

const seen = new Map<string, Seen>();

function look({ folder, watcher }: Operations['look']['input']): Look {
  const workspace = workspaceAt(folder);
  const last = seen.get(folder);
  // What another was told is news to this one.
  const before = last?.watcher === watcher ? last : undefined;
  if (!existsSync(workspace.runs)) {
    seen.delete(folder);
    return {
      exists: false,
      claimed: [],
      waiting: [],
      appeared: [],
      gone: [...(before?.ids ?? [])],
      supervised: false,
    };
  }
  // In this order: a run is there before the queue hears of it. One that was deleted by hand may be queued for a while yet.
  const queued = readQueue(workspace);
  const ids = new Set(listRuns(workspace));
  const entries = queued.filter(({ run }) => ids.has(run));
  const claimed = entries
    .filter((entry) => entry.claimed)
    .map(({ run: id, device }): ClaimedLook => {
      const status = runState(runFolder(workspace, id));
      const { state, reason, stopAsked, holder } = status;
      return {
        id,
        device,
        state,
        reason,
        stopAsked,
        alive: !hasEnded({ state }) && holder !== 'none' && holder !== 'dead',
        unseen: isUnseen(status),
      };
    });
  const waiting = entries.filter((entry) => !entry.claimed).map(({ run: id, device }) => ({ id, device }));
  const waitingText = JSON.stringify(waiting);
  seen.set(folder, { watcher, ids, waiting: waitingText });
  return {
    exists: true,
    claimed,
    waiting: before?.waiting === waitingText ? undefined : waiting,
    appeared: [...ids].filter((id) => before?.ids.has(id) !== true),
    gone: [...(before?.ids ?? [])].filter((id) => !ids.has(id)),
    supervised: livingSupervisor(workspace) !== undefined,
  };
}

/** What the trainers of a folder's runs hold, those of this machine that the system tells of. */
function usesOf(
  workspace: Workspace,
  onGpus: ReadonlyMap<number, number>,
): readonly (readonly [id: string, use: RunUse])[] {
  return readQueue(workspace).flatMap(({ run, claimed }): readonly (readonly [string, RunUse])[] => {
    const lease = claimed ? readLease(leaseFile(runFolder(workspace, run))) : undefined;
    if (lease?.role !== 'trainer' || leaseState(lease) !== 'alive') return [];
    const { processId } = lease.holder;
    const memory = process.platform === 'linux' ? readProcessMemory(processId) : undefined;
    if (memory === undefined) return [];
    const gpuBytes = onGpus.get(processId) ?? memory.gpuBytes;
    return [[run, { residentBytes: memory.residentBytes, gpuBytes }]];
  });
}

/** Two providers are tried twice, each for a minute where its driver hangs. */
const doctorMs = 300_000;

/** Some hundred megabytes over a slow line. */
const downloadMs = 3_600_000;

/** A large set on a slow machine. */
const inferenceMs = 24 * 3_600_000;

/** The sizes of models; kept, because every method of a list asks for them. */
const sizes = keptAnswers<SizedModel>();

/** A run of a sweep as a run by itself. */
function alone(run: NewRun): NewRun {
  const { origin } = run.environment;
  if (origin === undefined) return run;
  const { sweep: _sweep, ...rest } = origin;
  return { ...run, environment: { ...run.environment, origin: rest } };
}

/** The runs that a submission describes. */
async function planned({ file, text, overrides, onlyFirst = false }: Submission): Promise<readonly NewRun[]> {
  const configuration =
    text === undefined
      ? loadConfiguration(file, installedCatalogue)
      : parseConfiguration(text, file, installedCatalogue);
  const runs = await planRuns(configuration, overrides);
  return onlyFirst ? runs.slice(0, 1).map(alone) : runs;
}

function configurationsOf(workspace: Workspace, ids: readonly string[]) {
  return ids.map((id) => ({ id, configuration: readConfiguration(runFolder(workspace, id), installedCatalogue) }));
}

function isGone(workspace: Workspace, id: string): boolean {
  return !existsSync(runFolder(workspace, id));
}

/** The run's folder. @throws UserError where another window or the command line has deleted it */
function presentRun(workspace: Workspace, id: string): string {
  if (isGone(workspace, id)) throw new UserError(`the run ${id} is not there any more`);
  return runFolder(workspace, id);
}

function unseenRuns(workspace: Workspace, ids: readonly string[]): readonly UnseenRun[] {
  return ids.flatMap((id): readonly UnseenRun[] => {
    const folder = runFolder(workspace, id);
    const holder = unseenHolder(folder);
    return holder === undefined ? [] : [{ id, state: runState(folder).state, ...holder }];
  });
}

/** Whether runs may be taken from holders that cannot be seen: the user has given up each of those that have one by now. */
function mayForce(workspace: Workspace, ids: readonly string[], givenUp: readonly string[]): boolean {
  return givenUp.length > 0 && unseenRuns(workspace, ids).every(({ id }) => givenUp.includes(id));
}

const logOf = runLogs();

const ask = commandLine(setting.program);

const answers: { readonly [N in OperationName]: Answer<N> } = {
  locate: ({ folder, trusted }) => {
    const { runs } = workspaceAt(folder);
    return { ...databaseLocation(folder, { trusted }), runsFolder: runs, exists: existsSync(runs) };
  },
  look,
  supervise: async ({ folder, nodePath, libraryFolders, slots, startsQueued }) => {
    const workspace = workspaceAt(folder);
    if (livingSupervisor(workspace) !== undefined) return false;
    const node = await chooseNode({ configured: nodePath });
    startSupervisor(workspace, { node, entry: setting.program, nodePath, libraryFolders, slots, startsQueued });
    return true;
  },
  endSupervisor: (folder) => endSupervisor(workspaceAt(folder)),
  inspect: ({ file, text }) => {
    const { problems, settings, matrix } = inspectConfiguration(text, installedCatalogue);
    const { model } = settings;
    const name = isJsonObject(model) ? model['id'] : model;
    return {
      problems,
      warnings: startProblems(text, file, installedCatalogue),
      runs: problems.length > 0 ? undefined : sweepSize(matrix === undefined ? {} : { matrix }),
      model: typeof name === 'string' ? name : undefined,
    };
  },
  submit: async (submission) => {
    const workspace = openWorkspace(submission.folder);
    const exceed = submission.exceedsBudget === true;
    const runs = await planned(submission);
    const missing = findMissingProvider(runs);
    if (missing !== undefined) throw missing;
    return submitRuns(workspace, await admitRuns(workspace, runs, { exceed }));
  },
  budgetBreaches: async (submission) => {
    const workspace = workspaceAt(submission.folder);
    if (readBudgets(workspace).length === 0) return [];
    const configurations = (await planned(submission)).map(({ configuration }) => configuration);
    return budgetBreaches(openWorkspace(submission.folder), configurations);
  },
  saveCheckpoint: async ({ folder, id }) => (await saveCheckpoint(workspaceAt(folder), id)).step,
  stop: async ({ folder, ids, force }) => {
    const workspace = workspaceAt(folder);
    const supervisor = createSupervisor({
      workspace,
      // It is only asked to end what others started.
      launcher: localLauncher({ entry: setting.program, node: () => chooseNode() }),
      startsQueued: false,
    });
    for (const id of ids) {
      // Of several, those that ended by themselves meanwhile are as they were to be.
      if (ids.length > 1 && hasEnded(runState(runFolder(workspace, id)))) continue;
      await supervisor.stop(id, { force });
    }
    return undefined;
  },
  unseen: ({ folder, ids }) => unseenRuns(workspaceAt(folder), ids),
  resume: async ({ folder, ids, exceedsBudget = false, givenUp = [] }) => {
    const workspace = workspaceAt(folder);
    const found = configurationsOf(workspace, ids);
    await admitResumed(workspace, found, { exceed: exceedsBudget });
    await resumeRuns(
      workspace,
      found.map(({ id, configuration }) => ({ run: id, device: occupiedDevice(configuration.device) })),
      { force: mayForce(workspace, ids, givenUp) },
    );
    return undefined;
  },
  resumeBreaches: async ({ folder, ids }) => {
    const workspace = workspaceAt(folder);
    return resumeBreaches(workspace, configurationsOf(workspace, ids));
  },
  remove: async ({ folder, ids, givenUp = [] }) => {
    const workspace = workspaceAt(folder);
    // Those that another deleted meanwhile are as they were to be.
    const present = ids.filter((id) => !isGone(workspace, id));
    await removeRuns(workspace, present, { force: mayForce(workspace, present, givenUp) });
    return undefined;
  },
  mark: ({ folder, ids, marks }) => {
    const places = ids.map((id) => presentRun(workspaceAt(folder), id));
    for (const place of places) appendMarks(place, marks);
    return undefined;
  },
  clone: ({ folder, id }) => {
    const place = runFolder(workspaceAt(folder), id);
    const { file } = readEnvironment(place).origin ?? {};
    // A file elsewhere, or of a folder that was moved since, is no place to write to.
    const isNear = file !== undefined && pathBelow(folder, file) !== undefined;
    const home = isNear ? dirname(file) : folder;
    const name = file === undefined ? id.slice(-6) : basename(file).replace(/(\.peft)?\.json$/, '');
    return { text: cloneText(readConfiguration(place, installedCatalogue), home), folder: home, name };
  },
  log: async ({ folder, id }) => logOf(presentRun(workspaceAt(folder), id)),
  titles,
  catalogue: () => ({
    methods: methodChoices(),
    tasks: taskChoices(),
    providers: [...providers],
    privacy: configurationJsonSchema(installedCatalogue).properties?.['privacy'] !== undefined,
    knownModels: Object.keys(knownEncoders),
  }),
  models: async ({ folders }) => {
    const found = await listLocalModels({ folders: folders.filter((folder) => existsSync(folder)) });
    return found.map(({ name, source, family, weightBytes, problem }) => ({
      name,
      source,
      family,
      weightBytes,
      problem,
    }));
  },
  count: async ({ model, method, task }) => {
    const sized = await sizes.of(model, () => sizesOf(model));
    const {
      method: own,
      head,
      total,
    } = countTrained(sized, {
      method,
      options: methodOptions(method, {}),
      task: task === undefined ? undefined : findTask(task),
    });
    return { method: own, head, total, encoder: encoderSize(sized) };
  },
  doctor: (place, signal) => ask(diagnosis, place, ['doctor'], { signal, timeout: doctorMs }),
  installCuda: (place, signal) =>
    ask(cudaInstallation, place, ['doctor', '--install', 'cuda'], { signal, timeout: downloadMs }),
  predictTexts: ({ id, lines, ...place }, signal) =>
    ask(predictedTexts, place, ['predict', id, '-'], { signal, timeout: inferenceMs, input: lines }),
  predictInto: ({ id, from, output, ...place }, signal) => {
    const source = from.kind === 'split' ? [`--split=${from.name}`] : [from.path];
    const args = ['predict', id, ...source, `--output=${output}`, '--overwrite'];
    return ask(predicted, place, args, { signal, timeout: inferenceMs });
  },
  exportModel: ({ id, target, format, ...place }, signal) => {
    const args = ['export', id, target, `--format=${format}`];
    return ask(exportedModel, place, args, { signal, timeout: inferenceMs });
  },
  machine: async (folders) => {
    const limit = process.constrainedMemory();
    const { gpus, processes } = await readGpuUse();
    const facts = readMachine();
    return {
      cpu: cpus()[0]?.model.trim() ?? '',
      threads: availableParallelism(),
      memoryBytes: limit > 0 && limit < totalmem() ? limit : totalmem(),
      freeBytes: process.availableMemory(),
      auto: likelyProvider(facts),
      gpus,
      hindrances: hindrances(facts),
      runs: Object.fromEntries(folders.flatMap((folder) => usesOf(workspaceAt(folder), processes))),
    };
  },
  diskUse: (folder) => diskUse(workspaceAt(folder)),
  ...privacyAnswers,
  prune: ({ folder, ids, keep }) => {
    const workspace = workspaceAt(folder);
    return ids.reduce((freed, id) => freed + pruneCheckpoints(workspace, id, keep), 0);
  },
  render: ({ rows, format, parameters = 'total', ...options }) => {
    const runs = rows.map((row) => {
      const config: unknown = row.config;
      return { ...row, config: isJsonObject(config) ? config : null };
    });
    return renderComparison(compareRuns(runs, options), { format, parameters });
  },
};

/** What is being answered, and how it is given up. */
const answering = new Map<number, AbortController>();

async function answer({ id, operation, input }: Extract<Request, { kind: 'ask' }>): Promise<void> {
  const giveUp = new AbortController();
  answering.set(id, giveUp);
  let reply: Reply;
  try {
    // The client pairs each operation with its input; the message channel forgets the pairing.
    const output = await (answers[operation] as (input: unknown, signal: AbortSignal) => unknown)(input, giveUp.signal);
    reply = { id, kind: 'done', output };
  } catch (thrown) {
    reply = { id, kind: 'failed', error: packError(thrown) };
  }
  answering.delete(id);
  parentPort?.postMessage(reply);
}

parentPort?.on('message', (request: Request) => {
  if (request.kind === 'ask') void answer(request);
  else answering.get(request.id)?.abort();
});
