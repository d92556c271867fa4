import { createHash } from 'node:crypto';
import { createWriteStream, existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openPromise, type Entry } from 'yauzl';
import { z } from 'zod';
import { messageOf, UserError } from '../../../base/errors.ts';
import { counted } from '../../../base/format.ts';
import { useProxyOfEnvironment } from '../../proxy.ts';
import { cudaRuntimeFolder, marker, packagedFolder } from './runtime-location.ts';

/**
 * The runtime with its CUDA provider, in a folder of the user's that survives updates and reinstalls. The provider's libraries are too
 * large for npm; their maker publishes them on NuGet, from where the npm package's own install script takes them too. They must lie beside
 * the runtime's library, so a copy of the runtime comes with them.
 */

const packageId = 'Microsoft.ML.OnnxRuntime.Gpu.Linux';

const libraries = ['cuda', 'shared', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`);

const usualFeed = 'https://api.nuget.org/v3/index.json';

async function packagedVersion(): Promise<string> {
  const text = await readFile(path.join(packagedFolder(), 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

const serviceIndex = z.object({ resources: z.array(z.object({ '@id': z.url(), '@type': z.string() })) });
const registration = z.object({ catalogEntry: z.url() });
const catalogEntry = z.object({
  packageHash: z.string(),
  packageHashAlgorithm: z.literal('SHA512'),
  packageSize: z.number().optional(),
});

/** What kept a request from being answered: fetch itself says only that it failed. */
function reasonOf(failure: unknown): string {
  return messageOf(failure instanceof Error && failure.cause instanceof Error ? failure.cause : failure);
}

async function request(url: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  useProxyOfEnvironment();
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    signal.throwIfAborted();
    throw new UserError(
      `${url} cannot be reached: ${reasonOf(cause)}`,
      'Is the network there? --feed names another NuGet feed.',
      {
        cause,
      },
    );
  }
  if (!response.ok) throw new UserError(`${url} answers with ${response.status}`, '--feed names another NuGet feed.');
  return response;
}

async function ask<T>(url: string, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
  const parsed = schema.safeParse(await (await request(url, signal)).json().catch(() => undefined));
  signal.throwIfAborted();
  if (!parsed.success) throw new UserError(`${url} does not answer as a NuGet feed does`);
  return parsed.data;
}

interface Download {
  readonly url: string;
  /** SHA-512 in base64. */
  readonly hash: string;
  readonly bytes: number | undefined;
}

/** Finds the package and its hash in a NuGet feed (its V3 protocol: service index, registration, catalogue, flat container). */
async function findDownload(feed: string, version: string, signal: AbortSignal): Promise<Download> {
  const { resources } = await ask(feed, serviceIndex, signal);
  const address = (type: string): string => {
    const found = resources.find((resource) => resource['@type'].split('/')[0] === type);
    if (found === undefined) throw new UserError(`the NuGet feed ${feed} has no ${type}`);
    return found['@id'].replace(/\/?$/, '/');
  };
  const name = packageId.toLowerCase();
  const leaf = await ask(`${address('RegistrationsBaseUrl')}${name}/${version}.json`, registration, signal);
  const { packageHash, packageSize } = await ask(leaf.catalogEntry, catalogEntry, signal);
  const url = `${address('PackageBaseAddress')}${name}/${version}/${name}.${version}.nupkg`;
  return { url, hash: packageHash, bytes: packageSize };
}

/** Downloads to a file. @throws UserError when the connection breaks off, or what came has another hash */
async function download(
  { url, hash, bytes }: Download,
  file: string,
  onProgress: (done: number, all: number | undefined) => void,
  signal: AbortSignal,
): Promise<void> {
  const { body } = await request(url, signal);
  if (body === null) throw new UserError(`${url} is empty`);
  const sum = createHash('sha512');
  let done = 0;
  const received = async function* (): AsyncGenerator {
    try {
      yield* Readable.fromWeb(body);
    } catch (cause) {
      signal.throwIfAborted();
      throw new UserError(
        `${url} broke off after ${counted(done, 'byte')}: ${reasonOf(cause)}`,
        'Try again; nothing was installed.',
        { cause },
      );
    }
  };
  const count = new Transform({
    transform(chunk: Buffer, _, next) {
      sum.update(chunk);
      done += chunk.length;
      onProgress(done, bytes);
      next(null, chunk);
    },
  });
  await pipeline(received, count, createWriteStream(file), { signal });
  if (sum.digest('base64') !== hash)
    throw new UserError(
      `what ${url} gave is not what the feed says it is: its SHA-512 differs`,
      'Try again; nothing was installed.',
    );
}

/** Takes the provider's libraries out of the package. @throws Error on what is no archive, UserError where one is missing */
async function unpack(file: string, to: string): Promise<void> {
  const zip = await openPromise(file);
  const wanted = new Map(libraries.map((name) => [`runtimes/linux-x64/native/${name}`, path.join(to, name)]));
  try {
    for await (const entry of zip.eachEntry() as AsyncIterable<Entry>) {
      const target = wanted.get(entry.fileName);
      if (target === undefined) continue;
      await pipeline(await zip.openReadStreamPromise(entry), createWriteStream(target, { mode: 0o755 }));
      wanted.delete(entry.fileName);
    }
  } finally {
    zip.close();
  }
  const [missing] = wanted.keys();
  if (missing !== undefined) throw new UserError(`${path.basename(file)} holds no ${missing}`);
}

/** Copies what is needed of the runtime into `node_modules` of a folder. @returns the folder of its libraries */
async function copyRuntime(folder: string): Promise<string> {
  const from = packagedFolder();
  const to = path.join(folder, 'node_modules', 'onnxruntime-node');
  const native = path.join('bin', 'napi-v6', 'linux', 'x64');
  for (const part of ['package.json', 'dist', native])
    await cp(path.join(from, part), path.join(to, part), { recursive: true });
  const common = createRequire(path.join(from, 'package.json')).resolve('onnxruntime-common');
  const root = common.slice(0, common.lastIndexOf('onnxruntime-common') + 'onnxruntime-common'.length);
  const toCommon = path.join(folder, 'node_modules', 'onnxruntime-common');
  for (const part of ['package.json', path.join('dist', 'cjs')])
    await cp(path.join(root, part), path.join(toCommon, part), { recursive: true });
  return path.join(to, native);
}

export interface InstallOptions {
  /** The service index of a NuGet feed. */
  readonly feed?: string | undefined;
  readonly onProgress?: (done: number, all: number | undefined) => void;
  /** Gives it up when it is aborted, and rejects with its reason. */
  readonly signal?: AbortSignal;
}

/**
 * Brings the CUDA provider of this very version of the runtime into the user's folder. All or nothing: what fails leaves nothing behind.
 * @returns the folder, and whether it was there already
 * @throws UserError where there is no such provider for this platform, the feed is no address, cannot be reached or breaks off, a checksum differs, or there is no room
 */
export async function installCudaRuntime({
  feed = usualFeed,
  onProgress = () => undefined,
  signal = new AbortController().signal,
}: InstallOptions = {}): Promise<{
  readonly folder: string;
  readonly already: boolean;
}> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new UserError(
      'onnxruntime-node has its CUDA provider for Linux x64 alone',
      'webgpu computes on NVIDIA GPUs too.',
    );
  if (!/^https?:$/.test(URL.parse(feed)?.protocol ?? ''))
    throw new UserError(
      `the NuGet feed "${feed}" is no http or https address`,
      `Name the address of its service index, as ${usualFeed}.`,
    );
  const version = await packagedVersion();
  const folder = cudaRuntimeFolder(version);
  if (existsSync(path.join(folder, marker))) return { folder, already: true };
  const found = await findDownload(feed, version, signal);
  try {
    await mkdir(path.dirname(folder), { recursive: true });
    await removeAbandoned(folder);
    return { folder, already: await bring(found, version, folder, { onProgress, signal }) };
  } catch (error) {
    throw isOfFileSystem(error)
      ? new UserError(
          `${path.dirname(folder)} cannot be written: ${error.message}`,
          'Mend that or free some space, or let PEFT_LAB_DATA name another folder; nothing was installed.',
          { cause: error },
        )
      : error;
  }
}

/** No download takes so long. */
const ABANDONED_MS = 86_400_000;

/** What an installation that was killed left behind: some hundred megabytes. */
async function removeAbandoned(folder: string): Promise<void> {
  const parent = path.dirname(folder);
  for (const name of await readdir(parent)) {
    if (!name.includes('.part-')) continue;
    const found = await stat(path.join(parent, name)).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS)
      await rm(path.join(parent, name), { recursive: true, force: true });
  }
}

/** What the feed vouches for may still be no archive. @throws UserError, and what the file system says */
async function unpackFrom({ url }: Download, file: string, to: string): Promise<void> {
  try {
    await unpack(file, to);
  } catch (cause) {
    if (cause instanceof UserError || isOfFileSystem(cause)) throw cause;
    throw new UserError(
      `what ${url} gave is no package that can be unpacked: ${messageOf(cause)}`,
      'Nothing was installed. --feed names another NuGet feed.',
      { cause },
    );
  }
}

function isOfFileSystem(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

/** Downloads the package and puts the folder in its place. @returns whether another installation was there first */
async function bring(
  found: Download,
  version: string,
  folder: string,
  { onProgress, signal }: Required<Pick<InstallOptions, 'onProgress' | 'signal'>>,
): Promise<boolean> {
  const stage = await mkdtemp(`${folder}.part-`);
  try {
    const file = path.join(stage, 'package.nupkg');
    await download(found, file, onProgress, signal);
    await unpackFrom(found, file, await copyRuntime(stage));
    await rm(file);
    signal.throwIfAborted();
    await writeFile(path.join(stage, marker), `${JSON.stringify({ version, from: found.url, sha512: found.hash })}\n`);
    // Runs may compute with it already.
    if (existsSync(path.join(folder, marker))) {
      await rm(stage, { recursive: true, force: true });
      return true;
    }
    // What lies there without its marker was never finished.
    await rm(folder, { recursive: true, force: true });
    await rename(stage, folder);
    return false;
  } catch (error) {
    await rm(stage, { recursive: true, force: true });
    signal.throwIfAborted();
    throw error;
  }
}
