import { existsSync, mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { FileError, messageOf, UserError } from '../base/errors.ts';
import { readCheckpoint, writeCheckpoint } from '../engine/checkpoint-file.ts';
import type { GraphCache } from '../engine/backends/backend.ts';
import { DATA_CACHE_BYTES } from '../engine/data/data-cache.ts';
import { prepareTraining, type PreparedTraining, type SharedWork } from '../engine/prepare.ts';
import { machineKey, remembering } from '../engine/remembered-probe.ts';
import { runProbe } from '../engine/run-probe.ts';
import type { TrainerState } from '../engine/trainer-state.ts';
import type { TrainingSetup } from '../engine/training-setup.ts';
import { train, type TrainingHost, type TrainingResult } from '../engine/trainer.ts';
import { DivergedError } from '../engine/training-step.ts';
import { arithmeticOf } from './arithmetic.ts';
import { installedCatalogue } from './catalogue.ts';
import { checkpointPath, removeUnfinishedCheckpoints } from './checkpoints.ts';
import { dataIds, peftOfRun } from './data-id.ts';
import { collectEnvironment, type Environment } from './environment.ts';
import { asDiskFull, DiskFullError } from './files.ts';
import { fingerprintFiles } from './fingerprint.ts';
import { journalChunks } from './journal.ts';
import { computationOf, openPrivateTraining, type PrivateTraining } from './private-training.ts';
import { placeOfData } from './privacy-accounts.ts';
import { refuseBeyondBudget } from './privacy-budget.ts';
import { ownIdentity } from './process-identity.ts';
import { packageVersions, programVersion } from './program.ts';
import { readableEnvironment, workspaceAt, writeEnvironment } from './run-folder.ts';
import { openTrainerContext, type TrainerContext } from './trainer-context.ts';
import { trainingRequest } from './training-request.ts';

/**
 * The trainer: the program of a run's own process, `node trainer-process.ts RUN_FOLDER`. It trains as the folder's configuration says,
 * from the last checkpoint where there is one, and tells the journal; it knows nothing of databases or editors.
 * Exit codes: 0 finished or stopped, 1 failed, 2 for what the user must mend.
 */

async function savedState(folder: string): Promise<TrainerState | undefined> {
  const file = join(folder, checkpointPath('last'));
  if (!existsSync(file)) return undefined;
  try {
    return await readCheckpoint(file);
  } catch (error) {
    // Whoever reads a download again gets it anew, but nobody else has this file.
    if (!(error instanceof FileError)) throw error;
    throw new UserError(
      `the run cannot go on from its checkpoint. ${error.message.split('\n')[0] ?? ''}`,
      'Without that file the run begins again at its first step.',
      { cause: error },
    );
  }
}

/**
 * A run is one training on one set of inputs: what goes on with others ends in numbers that nothing can repeat, under a record of what it
 * did not begin with.
 * @throws UserError where model or data are not those that the run began with
 */
function requireSameInputs(before: Environment, now: Pick<Environment, 'model' | 'data'>, step: number): void {
  for (const part of ['model', 'data'] as const) {
    const [was, is] = [before[part]?.digest, now[part]?.digest];
    // Private data go by a key of the project, which a run that was moved leaves behind; an audit tells of others.
    if (was?.startsWith('sha256:') !== true || was === is) continue;
    throw new UserError(
      `the ${part === 'model' ? "model's files are" : 'data are'} no longer those that the run was trained with up to step ${step}`,
      'Put them back as they were and resume, or start a new run.',
    );
  }
}

/** The host of a training in a run's folder. */
function hostOf(context: TrainerContext, shapes: ReadonlyMap<string, readonly number[]>): TrainingHost {
  return {
    emit: (event) => {
      context.journal.append(event.type === 'started' ? { ...event, processId: process.pid } : event);
      context.heartbeat();
    },
    wish: () => {
      const { stop, checkpoint } = context.control.poll();
      if (stop) return 'stop';
      return checkpoint ? 'checkpoint' : 'continue';
    },
    save: async (kind, state) => {
      const path = checkpointPath(kind);
      const file = join(context.folder, path);
      mkdirSync(dirname(file), { recursive: true });
      // What led to a state is on the disk before the state: a resumed run does not compute those steps again.
      context.journal.flush();
      try {
        await writeCheckpoint(file, state, shapes, { segment: context.segment, offset: context.journal.offset() });
      } catch (error) {
        const full = asDiskFull(error instanceof FileError ? error.cause : error, file);
        throw full instanceof DiskFullError ? full : error;
      }
      return path;
    },
    now: () => performance.now(),
  };
}

/** What tells a private run's training data from others in its project; nothing for other runs, and for one outside of a project. */
async function trainingDataIds({ folder, configuration }: TrainerContext, files: readonly string[]) {
  const peft = peftOfRun(folder);
  return configuration.privacy === undefined || peft === undefined ? [] : dataIds(peft, files);
}

/** What the project keeps for its next runs. Of private data no copy is made, and nothing is kept outside of a project. */
function sharedWork({ folder, configuration }: TrainerContext): SharedWork {
  const peft = peftOfRun(folder);
  if (peft === undefined) return {};
  const cache = join(peft, 'cache');
  const versions = [programVersion(), ...Object.values(packageVersions(['onnxruntime-node'])), ownIdentity().bootId];
  return {
    ...(configuration.privacy === undefined
      ? { data: { folder: join(cache, 'data'), limitBytes: DATA_CACHE_BYTES } }
      : {}),
    ...(configuration.device.provider === 'auto'
      ? { probe: remembering(runProbe, join(cache, 'devices.json'), machineKey(versions)) }
      : {}),
  };
}

/** Enough for the graphs of some hundred methods, each a training step and an evaluation. */
const GRAPH_CACHE_BYTES = 64 << 20;

/**
 * Where the project keeps compiled graphs; nowhere outside of one. A private run compiles its own: its guarantee rests on what its graph
 * computes, and on no file that others may write.
 * @param weights a hash of the model's files
 */
function sharedGraphs({ folder, configuration }: TrainerContext, weights: string): GraphCache | undefined {
  const peft = peftOfRun(folder);
  if (peft === undefined || configuration.privacy !== undefined) return undefined;
  return { folder: join(peft, 'cache', 'graphs'), limitBytes: GRAPH_CACHE_BYTES, weights };
}

/** The environment of a run whose record of it a power cut took: a record that is lost keeps nobody from what was trained. */
async function renewedEnvironment({ folder, journal }: TrainerContext): Promise<Environment> {
  const message =
    'environment.json of this run is gone or damaged and is written anew: whether model and data are those that it began with is not known';
  journal.append({ type: 'log', level: 'warning', message });
  return collectEnvironment({ folder, version: programVersion(), packages: {} });
}

/**
 * Adds to the run's environment what its model and data were, and what computes, so that a change shows.
 * @param step that the run has come to
 * @returns a hash of the model's files
 * @throws UserError where a run that has begun would go on with others
 */
async function recordInputs(
  context: TrainerContext,
  { files: inputs, packages }: Pick<PreparedTraining, 'files' | 'packages'>,
  trainingData: readonly string[],
  step: number,
): Promise<string> {
  const { model, task, privacy } = context.configuration;
  const fingerprint = await fingerprintFiles(model.id, inputs.model);
  const environment = readableEnvironment(context.folder) ?? (await renewedEnvironment(context));
  const found = {
    model: fingerprint,
    // The plain hash and the size of private data would tell whoever has a guess at them whether it is right.
    data:
      privacy === undefined
        ? await fingerprintFiles(task.id, inputs.data)
        : { source: task.id, digest: `hmac-sha256:${trainingData.join()}` },
  };
  if (step > 0) requireSameInputs(environment, found, step);
  writeEnvironment(context.folder, {
    ...environment,
    packages: { ...environment.packages, ...packages },
    ...found,
  });
  return fingerprint.digest;
}

function finish(context: TrainerContext, result: TrainingResult): void {
  if (result.reason === 'stopped') {
    context.journal.append({ type: 'stopped', step: result.step });
    return;
  }
  context.journal.append({
    type: 'finished',
    step: result.step,
    reason: result.reason,
    last: result.last,
    ...(result.best === undefined ? {} : { best: { step: result.best.step, metrics: result.best.metrics } }),
    trainSeconds: result.trainSeconds,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
  });
}

/** Records why the run can't go on. @returns the exit code */
function fail(context: TrainerContext, error: unknown, step: number): number {
  const kind = error instanceof UserError ? 'user' : error instanceof DivergedError ? 'diverged' : 'defect';
  process.stderr.write(
    `${kind === 'defect' && error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`,
  );
  context.journal.append({
    type: 'failed',
    step: error instanceof DivergedError ? error.step : step,
    message: messageOf(error),
    kind,
  });
  return kind === 'user' ? 2 : 1;
}

/** What makes the run private, told in its journal before anything is released. */
function openPrivacy(
  context: TrainerContext,
  setup: TrainingSetup,
  {
    trainingData,
    model,
    fromStep,
  }: { readonly trainingData: readonly string[]; readonly model: string; readonly fromStep: number },
): PrivateTraining | undefined {
  const { configuration } = context;
  const { privacy } = configuration;
  if (privacy === undefined) return undefined;
  const before = [...journalChunks(context.folder)].flatMap(({ events }) => events);
  const opened = openPrivateTraining(context.folder, privacy, setup.settings, {
    examples: setup.train.count,
    trainingData,
    before,
    fromStep,
    arithmetic: arithmeticOf(setup.device),
    computation: computationOf(configuration, model),
  });
  context.journal.append(opened.ledger);
  context.journal.flush();
  return opened;
}

/** @throws UserError where the project's budget does not allow the run, and nobody has said that it may go beyond it */
async function keepToBudget(
  { folder, configuration }: TrainerContext,
  privacy: PrivateTraining | undefined,
  files: readonly string[],
): Promise<void> {
  const peft = peftOfRun(folder);
  if (peft === undefined || readableEnvironment(folder)?.exceedsBudget === true) return;
  await refuseBeyondBudget(
    workspaceAt(dirname(peft)),
    basename(folder),
    placeOfData(configuration.task),
    privacy?.ledger,
    files,
  );
}

async function trainRun(context: TrainerContext): Promise<number> {
  let step = 0;
  try {
    // Whatever the user's environment says: with 10 bits of a factor an example would weigh more than its clipping allows.
    if (context.configuration.privacy !== undefined) process.env['NVIDIA_TF32_OVERRIDE'] = '0';
    const asked = trainingRequest(context.configuration);
    const request = { ...asked, device: { ...asked.device, sharers: context.sharers } };
    removeUnfinishedCheckpoints(context.folder);
    const from = await savedState(context.folder);
    step = from?.progress.step ?? 0;
    const prepared = await prepareTraining(request, sharedWork(context));
    const { setup, warnings, notes, files } = prepared;
    const trainingData = await trainingDataIds(context, files.train);
    const model = await recordInputs(context, prepared, trainingData, step);
    const host = hostOf(context, new Map());
    const privacy = openPrivacy(context, setup, { trainingData, model, fromStep: step + 1 });
    await keepToBudget(context, privacy, files.train);
    for (const message of [...warnings, ...(privacy?.warnings ?? [])])
      host.emit({ type: 'log', level: 'warning', message });
    for (const message of notes) host.emit({ type: 'log', level: 'info', message });
    const counting: TrainingHost = {
      ...host,
      emit: (event) => {
        if (event.type === 'step') step = event.step;
        host.emit(event);
      },
      ...(privacy === undefined ? {} : { recordPrivate: privacy.record }),
    };
    const graphs = sharedGraphs(context, model);
    const result = await train(
      {
        ...setup,
        ...(graphs === undefined ? {} : { graphs }),
        ...(privacy === undefined ? {} : { privacy: privacy.mechanism }),
      },
      counting,
      from,
    );
    // Before the end is told: nothing comes back to a run that has finished.
    if (result.reason !== 'stopped') privacy?.finish();
    finish(context, result);
    return 0;
  } catch (error) {
    return fail(context, error, step);
  }
}

async function main(folder: string | undefined): Promise<number> {
  if (folder === undefined) {
    process.stderr.write('usage: trainer-process RUN_FOLDER\n');
    return 2;
  }
  let context: TrainerContext;
  try {
    context = openTrainerContext(folder, { catalogue: installedCatalogue });
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return error instanceof UserError ? 2 : 1;
  }
  try {
    try {
      return await trainRun(context);
    } finally {
      context.dispose();
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // Not even the end could be recorded, as on a full disk: the supervisor tells it from the exit code and these words.
    process.stderr.write(`Error: ${error.message}\n`);
    return 2;
  }
}

process.exitCode = await main(process.argv[2]);
