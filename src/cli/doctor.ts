import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { bytes, counted } from '../base/format.ts';
import { availableProviders, onnxBackend } from '../engine/backends/onnx/onnx-backend.ts';
import { installAdvice } from '../engine/backends/tfjs/library.ts';
import { TFJS } from '../engine/backends/tfjs/tfjs-backend.ts';
import { findWrongNumber } from '../engine/device-check.ts';
import { hubCacheFolder, isHubOffline } from '../engine/hub/environment.ts';
import { listLocalModels } from '../engine/model-folder.ts';
import { runTfjsProbe, type TfjsProbeResult } from '../engine/run-tfjs-probe.ts';
import { chooseNode } from '../runs/node-binary.ts';
import { listRuns, runFolder } from '../runs/run-folder.ts';
import { runState } from '../runs/run-state.ts';
import { fileSystemOf } from '../store/file-system.ts';
import { databaseLocation } from '../store/location.ts';
import { loadSqlite } from '../store/sqlite.ts';
import { packageVersions, programVersion } from '../runs/program.ts';
import { hasWorkspace, readWorkspace, withStore, type App } from './app.ts';
import { bad, doubtful, good, type Check } from './check.ts';
import { checkDevices } from './doctor-devices.ts';
import { plain, plainLines, printJson } from './output.ts';

const GB = 1e9;

async function checkNode(): Promise<Check> {
  const node = await chooseNode();
  const own = process.versions.node;
  const trainer = node.path === process.execPath ? '' : `; trainers run on ${node.version} (${node.path})`;
  return good('Node', `${own} (${process.execPath})${trainer}`);
}

function checkProgram(): Check {
  return good('peft-lab', `${programVersion()} on ${process.platform}-${process.arch}`);
}

async function checkRuntime(): Promise<Check> {
  const version = packageVersions(['onnxruntime-node'])['onnxruntime-node'] ?? 'of unknown version';
  const providers = await availableProviders();
  return good('onnxruntime', `${version}, providers: ${providers.join(', ')}`);
}

/** A second engine that nothing needs unless a configuration asks for it by name. */
function checkTfjs(found: TfjsProbeResult): Check {
  const name = 'TensorFlow.js';
  switch (found.kind) {
    case 'works':
      return good(name, `${found.text}; device ${TFJS}`);
    case 'absent':
      return good(name, `not installed. ${installAdvice}`);
    case 'fails':
      return doubtful(name, found.reason, installAdvice);
  }
}

async function checkComputation(): Promise<Check> {
  const name = 'computation';
  const wrong = await findWrongNumber(onnxBackend, { provider: 'cpu', threads: 1 });
  return wrong === undefined
    ? good(name, 'a graph and its gradients are computed right')
    : bad(name, wrong, 'The installation is damaged or this CPU is not supported: run npm ci again.');
}

function checkSqlite(): Check {
  const { DatabaseSync } = loadSqlite();
  const database = new DatabaseSync(':memory:');
  try {
    const row = database.prepare('SELECT sqlite_version() AS version').get();
    return good('SQLite', String(row?.['version']));
  } finally {
    database.close();
  }
}

/** The folder itself, or the nearest one above it that is there. */
function nearest(folder: string): string {
  let path = resolve(folder);
  while (!existsSync(path) && dirname(path) !== path) path = dirname(path);
  return path;
}

function checkWorkspace(app: App): readonly Check[] {
  const { folder, peft } = readWorkspace(app);
  const place = nearest(peft);
  const checks: Check[] = [];
  try {
    accessSync(place, constants.W_OK);
    const has = existsSync(peft) ? counted(listRuns(readWorkspace(app)).length, 'run') : 'no runs yet';
    checks.push(good('workspace', `${folder}, ${has}, can be written`));
  } catch {
    checks.push(bad('workspace', `${place} cannot be written`, 'Choose another folder with --folder.'));
  }
  const system = fileSystemOf(place);
  checks.push(
    system.kind === 'local'
      ? good('file system', system.name.startsWith('type ') ? 'local' : `local, ${system.name}`)
      : good('file system', `network, ${system.name}: the database is kept on this machine`),
  );
  const { bavail, bsize } = statfsSync(place);
  const free = bavail * bsize;
  const room = `${bytes(free)} free`;
  if (free < 0.2 * GB) checks.push(bad('disk', room, 'A run needs room for its checkpoints: free some.'));
  else if (free < 2 * GB)
    checks.push(doubtful('disk', room, 'Full fine-tuning of a base model writes more than 1 GB.'));
  else checks.push(good('disk', room));
  return checks;
}

async function checkDatabase(app: App): Promise<Check> {
  if (!hasWorkspace(app)) return good('database', 'none yet');
  const { path, reason } = databaseLocation(app.folder);
  const faults = await withStore(app, (store) => store.check());
  if (faults.length > 0)
    return doubtful(
      'database',
      `${path} was damaged (${faults[0] ?? ''})`,
      'It was rebuilt from the runs; nothing is lost.',
    );
  return good('database', reason === undefined ? `${path} is sound` : `${path} is sound; ${reason}`);
}

function checkRuns(app: App): Check {
  const workspace = readWorkspace(app);
  const unreadable: string[] = [];
  const broken = listRuns(workspace).filter((id) => {
    try {
      return runState(runFolder(workspace, id)).state === 'interrupted';
    } catch {
      unreadable.push(id);
      return false;
    }
  });
  const [first] = unreadable;
  if (first !== undefined)
    return doubtful(
      'runs',
      `the files of ${counted(unreadable.length, 'run')} cannot be read`,
      `See what is wrong with: peft-lab show ${first.slice(-6)}.`,
    );
  if (broken.length === 0) return good('runs', 'none was interrupted');
  return doubtful(
    'runs',
    `${counted(broken.length, 'run')} interrupted`,
    `See them with: peft-lab ls --state interrupted; go on with: peft-lab resume ${broken.at(-1)?.slice(-6) ?? ''}.`,
  );
}

function checkMachine(): readonly Check[] {
  const threads = availableParallelism();
  const model = cpus()[0]?.model.trim() ?? 'unknown';
  const limit = process.constrainedMemory();
  const whole = limit > 0 && limit < totalmem() ? limit : totalmem();
  const available = process.availableMemory();
  const memory = `${bytes(whole)}, ${bytes(Math.max(available, freemem()))} of it available`;
  return [
    good('CPU', `${model}, ${counted(threads, 'thread')}`),
    available < 1 * GB
      ? doubtful(
          'memory',
          memory,
          'Training a base model takes 1.5 to 4 GB: close other programs or lower training.batchSize.',
        )
      : good('memory', memory),
  ];
}

async function checkHub(): Promise<Check> {
  const cache = hubCacheFolder();
  const models = await listLocalModels();
  const has = existsSync(cache) ? `${counted(models.length, 'model')} in ${cache}` : `no cache yet at ${cache}`;
  const offline = isHubOffline() ? '; offline (HF_HUB_OFFLINE)' : '';
  const unusable = models.filter(({ problem }) => problem !== undefined);
  if (isHubOffline() && models.length === 0)
    return doubtful('hub', `${has}${offline}`, 'Unset HF_HUB_OFFLINE to download models, or name a folder as model.');
  if (unusable.length > 0)
    return doubtful('hub', `${has}, ${unusable.length} of them unusable${offline}`, 'See: peft-lab models.');
  return good('hub', `${has}${offline}`);
}

/** What configurations may name as `device` here, as far as the runtime can be asked. */
async function providersHere(tfjs: TfjsProbeResult): Promise<readonly string[]> {
  const found = await availableProviders().catch(() => []);
  return tfjs.kind === 'works' ? [...found, TFJS] : found;
}

/** A check that can't even be made is a problem of its own. */
async function guarded(
  name: string,
  check: () => Promise<Check | readonly Check[]> | Check | readonly Check[],
): Promise<readonly Check[]> {
  try {
    const result = await check();
    return 'level' in result ? [result] : result;
  } catch (error) {
    const [message = '', ...rest] = messageOf(error).split('\n');
    return [bad(name, message, rest.join(' ').trim() || 'Run npm ci again; if that does not help, report it.')];
  }
}

/** As wide as the longest name of a check. */
const NAME_WIDTH = 'TensorFlow.js'.length;

function checkText({ name, level, message, advice }: Check): string {
  const first = `${level.padEnd(7)}  ${name.padEnd(NAME_WIDTH)}  ${plain(message)}\n`;
  return advice === null ? first : `${first}${' '.repeat(NAME_WIDTH + 11)}${plainLines(advice)}\n`;
}

/** `peft-lab doctor`: looks at everything that a run depends on. @returns 1 when something keeps runs from working */
export async function doctorCommand(app: App): Promise<number> {
  let tfjs: Promise<TfjsProbeResult> | undefined;
  // Once, and not while rates are measured.
  const lookForTfjs = (): Promise<TfjsProbeResult> => (tfjs ??= runTfjsProbe());
  const all: readonly (readonly [name: string, check: Parameters<typeof guarded>[1]])[] = [
    ['peft-lab', checkProgram],
    ['Node', checkNode],
    ['onnxruntime', checkRuntime],
    ['computation', checkComputation],
    ['devices', checkDevices],
    ['SQLite', checkSqlite],
    ['workspace', () => checkWorkspace(app)],
    ['database', () => checkDatabase(app)],
    ['runs', () => checkRuns(app)],
    ['machine', checkMachine],
    ['hub', checkHub],
    ['TensorFlow.js', async () => checkTfjs(await lookForTfjs())],
  ];
  const checks: Check[] = [];
  for (const [name, check] of all) {
    const found = await guarded(name, check);
    checks.push(...found);
    // At once, so that what was found is there should the next one take long, or crash.
    if (!app.json) app.terminal.out(found.map(checkText).join(''));
  }
  const ok = checks.every(({ level }) => level !== 'problem');
  if (app.json) printJson(app.terminal, { ok, checks, providers: await providersHere(await lookForTfjs()) });
  return ok ? 0 : 1;
}
