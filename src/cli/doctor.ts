import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { dirname, resolve } from 'node:path';
import { messageOf } from '../base/errors.ts';
import { bytes, counted } from '../base/format.ts';
import { availableProviders, onnxBackend } from '../engine/backends/onnx/onnx-backend.ts';
import { describeLibrary, findTfjs, installAdvice } from '../engine/backends/tfjs/library.ts';
import { TFJS } from '../engine/backends/tfjs/tfjs-backend.ts';
import { differentiate } from '../engine/graph/differentiate.ts';
import { input, matmul, multiply, parameter, reduceSum, softmax } from '../engine/graph/operations.ts';
import { hubCacheFolder, isHubOffline } from '../engine/hub.ts';
import { listLocalModels } from '../engine/model-folder.ts';
import { chooseNode } from '../runs/node-binary.ts';
import { listRuns, runFolder } from '../runs/run-folder.ts';
import { runState } from '../runs/run-state.ts';
import { fileSystemOf } from '../store/file-system.ts';
import { databaseLocation } from '../store/location.ts';
import { loadSqlite } from '../store/sqlite.ts';
import { packageVersions, programVersion } from '../runs/program.ts';
import { hasWorkspace, readWorkspace, withStore, type App } from './app.ts';
import { plain, plainLines, printJson } from './output.ts';

/** What was looked at and what came of it. `advice` says what to do about a warning or a problem. */
interface Check {
  readonly name: string;
  readonly level: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly advice: string | null;
}

function good(name: string, message: string): Check {
  return { name, level: 'ok', message, advice: null };
}

function doubtful(name: string, message: string, advice: string): Check {
  return { name, level: 'warning', message, advice };
}

function bad(name: string, message: string, advice: string): Check {
  return { name, level: 'problem', message, advice };
}

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
async function checkTfjs(): Promise<Check> {
  const name = 'TensorFlow.js';
  try {
    const library = await findTfjs();
    return good(name, `${describeLibrary(library)}, in ${library.folder}; device ${TFJS}`);
  } catch (error) {
    const [message = ''] = messageOf(error).split('\n');
    const isBroken = message.includes('cannot be loaded');
    return isBroken ? doubtful(name, message, installAdvice) : good(name, `not installed. ${installAdvice}`);
  }
}

/** The gradient of Σ c · softmax(x A) with respect to A, held against the numbers that pen and paper give. */
async function checkComputation(): Promise<Check> {
  const name = 'computation';
  const advice = 'The installation is damaged or this CPU is not supported: run npm ci again.';
  const a = parameter('a', [2, 2]);
  const logits = matmul(input('x', 'float32', [1, 2]), a);
  const loss = reduceSum(multiply(softmax(logits), input('c', 'float32', [1, 2])), [0, 1]);
  const [gradient] = differentiate(loss, [a]);
  if (gradient === undefined) return bad(name, 'a gradient is missing', advice);
  const executable = await onnxBackend.compile({ loss, gradient }, new Map(), { provider: 'cpu', threads: 1 });
  try {
    const float = (shape: readonly number[], ...data: number[]) =>
      ({ dtype: 'float32', shape, data: Float32Array.from(data) }) as const;
    // x A = (0, ln 3), so the softmax is (1/4, 3/4).
    const results = await executable.run({
      x: float([1, 2], 1, 2),
      a: float([2, 2], 0, Math.log(3), 0, 0),
      c: float([1, 2], 1, 2),
    });
    const got = [...(results['loss']?.data ?? []), ...(results['gradient']?.data ?? [])].map(Number);
    const want = [1.75, -0.1875, 0.1875, -0.375, 0.375];
    const off = Math.max(...want.map((value, index) => Math.abs(value - (got[index] ?? NaN))));
    return off < 1e-5
      ? good(name, 'a graph and its gradient are computed right')
      : bad(name, `a graph gave ${got.join(', ')} in place of ${want.join(', ')}`, advice);
  } finally {
    await executable.dispose();
  }
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
  const broken = listRuns(workspace).filter((id) => runState(runFolder(workspace, id)).state === 'interrupted');
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
async function providersHere(): Promise<readonly string[]> {
  const found = await Promise.allSettled([availableProviders(), findTfjs().then(() => [TFJS])]);
  return found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
}

/** A check that can't even be made is a problem of its own. */
async function guarded(
  name: string,
  check: () => Promise<Check> | Check | readonly Check[],
): Promise<readonly Check[]> {
  try {
    const result = await check();
    return 'level' in result ? [result] : result;
  } catch (error) {
    const [message = '', ...rest] = messageOf(error).split('\n');
    return [bad(name, message, rest.join(' ').trim() || 'Run npm ci again; if that does not help, report it.')];
  }
}

/** `peft-lab doctor`: looks at everything that a run depends on. @returns 1 when something keeps runs from working */
export async function doctorCommand(app: App): Promise<number> {
  const checks = [
    await guarded('peft-lab', checkProgram),
    await guarded('Node', checkNode),
    await guarded('onnxruntime', checkRuntime),
    await guarded('computation', checkComputation),
    await guarded('TensorFlow.js', checkTfjs),
    await guarded('SQLite', checkSqlite),
    await guarded('workspace', () => checkWorkspace(app)),
    await guarded('database', () => checkDatabase(app)),
    await guarded('runs', () => checkRuns(app)),
    await guarded('machine', checkMachine),
    await guarded('hub', checkHub),
  ].flat();
  const ok = checks.every(({ level }) => level !== 'problem');
  if (app.json) printJson(app.terminal, { ok, checks, providers: await providersHere() });
  else {
    const width = Math.max(...checks.map(({ name }) => name.length));
    app.terminal.out(
      checks
        .map(({ name, level, message, advice }) => {
          const first = `${level.padEnd(7)}  ${name.padEnd(width)}  ${plain(message)}\n`;
          return advice === null ? first : `${first}${' '.repeat(width + 11)}${plainLines(advice)}\n`;
        })
        .join(''),
    );
  }
  return ok ? 0 : 1;
}
