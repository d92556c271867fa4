import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import { messageOf, UserError } from '../../../base/errors.ts';
import type { Arithmetic, Tfjs } from './rules.ts';

/** A TensorFlow.js that is installed on this machine, loaded. */
export interface TfjsLibrary extends Arithmetic {
  /** The package, such as `@tensorflow/tfjs-node`. */
  readonly name: string;
  readonly version: string;
  readonly folder: string;
  /** Which of the library's own backends computes: `tensorflow` is the native one, `cpu` plain JavaScript. */
  readonly backend: string;
  /** Packages that would have come before it but cannot be used, and why. */
  readonly passedOver: readonly Unusable[];
}

export interface Unusable {
  readonly name: string;
  readonly folder: string;
  readonly problem: string;
}

/** What to tell someone who wants it. */
export const installAdvice =
  'Install it in the project folder or beside peft-lab: npm install @tensorflow/tfjs-node (or @tensorflow/tfjs-node-gpu for CUDA 11; or @tensorflow/tfjs, which is plain JavaScript and slow). PEFT_TFJS may name another folder where it is installed.';

/** There is no TensorFlow.js that works. */
export class NoTfjsError extends UserError {
  override readonly name = 'NoTfjsError';
  /** What is installed all the same. */
  readonly unusable: readonly Unusable[];

  constructor(unusable: readonly Unusable[]) {
    const reasons = unusable.map(({ name, folder, problem }) => `${name} in ${folder} cannot be loaded: ${problem}`);
    const problem = 'the device tfjs computes with TensorFlow.js, which is not installed here';
    super([problem, ...reasons].join('; '), installAdvice);
    this.unusable = unusable;
  }
}

/** The fastest first. The last is what the one before it consists of, as far as it is needed here. */
const packages: readonly { readonly name: string; readonly computes?: string }[] = [
  { name: '@tensorflow/tfjs-node-gpu' },
  { name: '@tensorflow/tfjs-node' },
  { name: '@tensorflow/tfjs' },
  { name: '@tensorflow/tfjs-core', computes: '@tensorflow/tfjs-backend-cpu' },
];

/** Where packages are looked for, each place with the folders above it: where the user says, where the process works, beside the program. */
function placesToLook(): readonly string[] {
  const named = process.env['PEFT_TFJS']?.trim() ?? '';
  return [...(named === '' ? [] : [resolve(named)]), process.cwd(), dirname(fileURLToPath(import.meta.url))];
}

/** Node 23 took away the one, and warns of the other; tfjs-node 4.22 calls both. */
function restoreRemovedHelpers(): void {
  Object.assign(util, {
    isNullOrUndefined: (value: unknown): boolean => value === null || value === undefined,
    isArray: Array.isArray,
  });
}

/** TensorFlow reads them as it is loaded. It would greet on the standard error, and compute with 10 bits of each factor on newer GPUs (TF32). */
function prepareTensorFlow(threads: number): void {
  process.env['NVIDIA_TF32_OVERRIDE'] ??= '0';
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  if (threads > 0) process.env['TF_NUM_INTRAOP_THREADS'] ??= String(threads);
}

const needed = ['tensor', 'tidy', 'matMul', 'scatterND', 'broadcastTo', 'memory', 'ready', 'getBackend'] as const;

function isTfjs(loaded: unknown): loaded is Tfjs {
  return (
    typeof loaded === 'object' &&
    loaded !== null &&
    needed.every((name) => name in loaded && typeof (loaded as Readonly<Record<string, unknown>>)[name] === 'function')
  );
}

function manifestAt(
  load: NodeJS.Require,
  name: string,
): { readonly folder: string; readonly version: string } | undefined {
  let file: string;
  try {
    file = load.resolve(`${name}/package.json`);
  } catch {
    return undefined;
  }
  const manifest: unknown = load(file);
  const version = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : '';
  return { folder: dirname(file), version: String(version) };
}

/** Whether a product that floating point cannot hold comes out modulo 2³². */
function wrapsProducts(tf: Tfjs): boolean {
  const [a, b] = [2 ** 31 - 1, 1664525];
  return tf.tidy(() => tf.mul(tf.scalar(a, 'int32'), tf.scalar(b, 'int32')).dataSync()[0] === Math.imul(a, b));
}

async function start(
  load: NodeJS.Require,
  { name, computes }: (typeof packages)[number],
): Promise<Pick<TfjsLibrary, 'tf' | 'backend'>> {
  const loaded: unknown = load(name);
  if (!isTfjs(loaded)) throw new Error('it lacks operations that are needed, so it is too old or not TensorFlow.js');
  // It would recommend its faster packages at length.
  loaded.enableProdMode();
  if (computes !== undefined) load(computes);
  await loaded.ready();
  return { tf: loaded, backend: loaded.getBackend() };
}

/**
 * Finds the fastest TensorFlow.js that is installed and works.
 * @param threads of a native library's CPU, if it is not loaded yet; 0 lets it choose
 * @param places folders to look in and above
 * @throws NoTfjsError when there is none, with what was found and why it cannot be used
 */
export async function findTfjs(threads = 0, places: readonly string[] = placesToLook()): Promise<TfjsLibrary> {
  restoreRemovedHelpers();
  prepareTensorFlow(threads);
  const passedOver: Unusable[] = [];
  for (const candidate of packages) {
    for (const place of places) {
      const load = createRequire(join(place, 'any.js'));
      const found = manifestAt(load, candidate.name);
      if (found === undefined) continue;
      if (candidate.computes !== undefined && manifestAt(load, candidate.computes) === undefined) continue;
      if (passedOver.some(({ folder }) => folder === found.folder)) continue;
      try {
        const started = await start(load, candidate);
        const { name } = candidate;
        return { ...started, ...found, name, wrapsProducts: wrapsProducts(started.tf), passedOver };
      } catch (error) {
        const [problem = ''] = messageOf(error).split('\n');
        passedOver.push({ name: candidate.name, folder: found.folder, problem: problem.trim() });
      }
    }
  }
  throw new NoTfjsError(passedOver);
}

/** What computes, in a few words: the package, its version, its backend, and what it was chosen instead of. */
export function describeLibrary({ name, version, backend, passedOver }: TfjsLibrary): string {
  const instead = passedOver.map((other) => `; ${other.name} cannot be loaded: ${other.problem}`);
  return `${name} ${version}, its backend ${backend}${instead.join('')}`;
}
