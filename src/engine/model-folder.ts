/** Finds the files of a model: in a folder, or on the hub by name. */
import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { FileError, UserError } from '../base/errors.ts';
import { cachedRepositories } from './hub/cache.ts';
import { hubCacheFolder } from './hub/environment.ts';
import { hubSnapshot, isHubId, type HubOptions } from './hub/snapshot.ts';
import { shippedModelFolder, shippedModels } from './shipped-models.ts';
import { fileProblem, readJson, systemErrorCode } from './text-files.ts';

/** The files that a tokeniser is read from, as full paths. */
export type TokenizerFiles = {
  /** `tokenizer_config.json`. */
  readonly config: string | undefined;
  /** `special_tokens_map.json`. */
  readonly specialTokensMap: string | undefined;
  /** `added_tokens.json`. */
  readonly addedTokens: string | undefined;
} & (
  | { readonly kind: 'tokenizer.json'; readonly file: string }
  | { readonly kind: 'vocab.txt'; readonly file: string }
  | { readonly kind: 'vocab.json'; readonly file: string; readonly merges: string }
);

export interface ModelFolder {
  /** As the user named it. */
  readonly name: string;
  readonly path: string;
  readonly origin:
    | { readonly kind: 'folder' }
    | { readonly kind: 'shipped' }
    | { readonly kind: 'hub'; readonly id: string; readonly revision: string; readonly commit: string };
  readonly config: string;
  /** `model.safetensors`, or the shards; none if the folder has none and none were required. */
  readonly weights: readonly string[];
  readonly tokenizer: TokenizerFiles | undefined;
}

/** A part of a model that a command cannot do without. */
export type ModelPart = 'config' | 'weights' | 'tokenizer';

const everything: readonly ModelPart[] = ['config', 'weights', 'tokenizer'];

export interface ResolveOptions extends HubOptions {
  /** Default: all three. */
  readonly require?: readonly ModelPart[];
}

/**
 * Finds a model. A name that is a folder is that folder; that of an encoder that ships with this program is that one; a name of the hub is looked up there (see `hubSnapshot`), and the files that
 * are needed are downloaded.
 * @throws FileError for a folder that lacks a part; UserError for whatever keeps the hub from giving it
 */
export async function resolveModel(nameOrPath: string, options: ResolveOptions = {}): Promise<ModelFolder> {
  const require = options.require ?? everything;
  const kind = await kindOf(nameOrPath);
  if (kind === 'folder') return inspectModelFolder(nameOrPath, { require });
  if (kind === 'file')
    throw new FileError(
      nameOrPath,
      undefined,
      'is a file, not a folder with a model',
      'Name the folder that holds config.json.',
    );
  const shipped = shippedModelFolder(nameOrPath);
  if (shipped !== undefined)
    return inspectModelFolder(shipped, { require, name: nameOrPath, origin: { kind: 'shipped' } });
  if (!isHubId(nameOrPath))
    throw new FileError(nameOrPath, undefined, 'no such folder', 'A model of the hub is named owner/name.');
  const { path, commit } = await hubSnapshot(
    nameOrPath,
    (names) => {
      const problem = missingPart(new Set(names), require, nameOrPath);
      if (problem !== undefined)
        throw new UserError(`the model ${nameOrPath} on the hub ${problem.message}`, problem.hint);
      return filesOf(new Set(names), require);
    },
    options,
  );
  const revision = options.revision ?? 'main';
  return inspectModelFolder(path, {
    require,
    name: nameOrPath,
    origin: { kind: 'hub', id: nameOrPath, revision, commit },
  });
}

async function kindOf(path: string): Promise<'folder' | 'file' | 'nothing'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(systemErrorCode(thrown) ?? '')) return 'nothing';
    throw fileProblem(path, thrown);
  }
}

const wholeWeights = 'model.safetensors';
const weightsIndex = 'model.safetensors.index.json';
const otherWeights = [
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'tf_model.h5',
  'flax_model.msgpack',
  'model.ckpt.index',
];
const tokenizerNames = [
  'tokenizer.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
];

function hasTokenizer(names: ReadonlySet<string>): boolean {
  return names.has('tokenizer.json') || names.has('vocab.txt') || (names.has('vocab.json') && names.has('merges.txt'));
}

/** What is missing among the files of a model, said so that it can follow the model's name. */
function missingPart(
  names: ReadonlySet<string>,
  require: readonly ModelPart[],
  model: string,
): { readonly message: string; readonly hint: string } | undefined {
  if (require.includes('config') && !names.has('config.json'))
    return { message: 'has no config.json', hint: 'It should be a model in the layout of the transformers library.' };
  if (require.includes('weights') && !names.has(wholeWeights) && !names.has(weightsIndex)) {
    const other = otherWeights.find((name) => names.has(name));
    return other === undefined
      ? { message: `has no weights (${wholeWeights})`, hint: 'Download the model again with all its files.' }
      : {
          message: `has its weights only as ${other}, not as ${wholeWeights}`,
          hint:
            'Convert them once with Python: from transformers import AutoModel, AutoTokenizer; ' +
            `AutoModel.from_pretrained("${model}").save_pretrained("converted"); ` +
            `AutoTokenizer.from_pretrained("${model}").save_pretrained("converted"). Then name the folder "converted".`,
        };
  }
  if (require.includes('tokenizer') && !hasTokenizer(names)) {
    const half = names.has('vocab.json') ? 'merges.txt' : names.has('merges.txt') ? 'vocab.json' : undefined;
    return {
      message: half === undefined ? 'has no tokenizer' : `has only half of a tokenizer: ${half} is missing`,
      hint: 'It needs tokenizer.json, or vocab.txt (BERT), or vocab.json and merges.txt (RoBERTa).',
    };
  }
  return undefined;
}

/** The files that are wanted, of those that are there. */
function filesOf(names: ReadonlySet<string>, require: readonly ModelPart[]): readonly string[] {
  const wanted = [...names].filter((name) => name === 'config.json' || tokenizerNames.includes(name));
  if (!require.includes('weights')) return wanted;
  if (names.has(wholeWeights)) return [...wanted, wholeWeights];
  return [...wanted, weightsIndex, ...[...names].filter((name) => /^model-\d+-of-\d+\.safetensors$/u.test(name))];
}

/**
 * Looks at a folder that should hold a model.
 * @throws FileError naming what is missing
 */
export async function inspectModelFolder(
  path: string,
  options: {
    readonly require?: readonly ModelPart[];
    readonly name?: string;
    readonly origin?: ModelFolder['origin'];
  } = {},
): Promise<ModelFolder> {
  const folder = resolve(path);
  const name = options.name ?? path;
  const require = options.require ?? everything;
  const names = new Set<string>();
  try {
    for (const entry of await readdir(folder)) if ((await kindOf(join(folder, entry))) === 'file') names.add(entry);
  } catch (thrown) {
    throw fileProblem(path, thrown);
  }
  const problem = missingPart(names, require, name);
  if (problem !== undefined) throw new FileError(path, undefined, problem.message, problem.hint);
  const optional = (file: string): string | undefined => (names.has(file) ? join(folder, file) : undefined);
  return {
    name,
    path: folder,
    origin: options.origin ?? { kind: 'folder' },
    config: join(folder, 'config.json'),
    weights: names.has(wholeWeights)
      ? [join(folder, wholeWeights)]
      : await shardsOf(optional(weightsIndex), folder, names),
    tokenizer: tokenizerFiles(names, folder, {
      config: optional('tokenizer_config.json'),
      specialTokensMap: optional('special_tokens_map.json'),
      addedTokens: optional('added_tokens.json'),
    }),
  };
}

function tokenizerFiles(
  names: ReadonlySet<string>,
  folder: string,
  settings: Pick<TokenizerFiles, 'config' | 'specialTokensMap' | 'addedTokens'>,
): TokenizerFiles | undefined {
  if (names.has('tokenizer.json')) return { kind: 'tokenizer.json', file: join(folder, 'tokenizer.json'), ...settings };
  if (names.has('vocab.txt')) return { kind: 'vocab.txt', file: join(folder, 'vocab.txt'), ...settings };
  if (names.has('vocab.json') && names.has('merges.txt'))
    return { kind: 'vocab.json', file: join(folder, 'vocab.json'), merges: join(folder, 'merges.txt'), ...settings };
  return undefined;
}

async function shardsOf(
  index: string | undefined,
  folder: string,
  names: ReadonlySet<string>,
): Promise<readonly string[]> {
  if (index === undefined) return [];
  const json = await readJson(index);
  const map = typeof json === 'object' && json !== null && 'weight_map' in json ? json.weight_map : undefined;
  if (typeof map !== 'object' || map === null)
    throw new FileError(index, undefined, 'has no "weight_map"', 'Download the model again.');
  const shards = [...new Set(Object.values(map) as unknown[])];
  const missing = shards.find((shard) => typeof shard !== 'string' || !names.has(shard));
  if (missing !== undefined)
    throw new FileError(
      index,
      undefined,
      `names ${JSON.stringify(missing)}, which is not there`,
      'Download the model again with all its files.',
    );
  return shards.map((shard) => join(folder, String(shard)));
}

/** A model on this disk, as `models` lists it. */
export interface LocalModel {
  /** What to write as `model` in a configuration: the name of what ships or of the hub, or the folder's path. */
  readonly name: string;
  readonly path: string;
  readonly source: 'shipped' | 'hub' | 'folder';
  readonly commit: string | undefined;
  /** The branches and tags at which the hub showed this commit. */
  readonly revisions: readonly string[];
  /** `model_type` of config.json. */
  readonly family: string | undefined;
  readonly weightBytes: number;
  /** Why it cannot be used as it is; undefined if it can. */
  readonly problem: string | undefined;
}

/**
 * The models that ship, those in the hub's cache and those in some folders. A folder is a model if it holds config.json; otherwise the folders in it are
 * looked at.
 */
export async function listLocalModels(
  options: { readonly cacheDir?: string; readonly folders?: readonly string[] } = {},
): Promise<readonly LocalModel[]> {
  const models: LocalModel[] = [];
  for (const name of shippedModels()) {
    const model = await describe(shippedModelFolder(name) ?? name, name, 'shipped', undefined, []);
    if (model !== undefined) models.push(model);
  }
  for (const { id, snapshots } of await cachedRepositories(options.cacheDir ?? hubCacheFolder()))
    for (const { path, commit, revisions } of snapshots) {
      const model = await describe(path, id, 'hub', commit, revisions);
      if (model !== undefined) models.push(model);
    }
  for (const folder of options.folders ?? []) {
    const itself = await describe(folder, folder, 'folder', undefined, []);
    if (itself !== undefined) {
      models.push(itself);
      continue;
    }
    for (const entry of await entriesOf(folder)) {
      const path = join(folder, entry);
      const model = await describe(path, path, 'folder', undefined, []);
      if (model !== undefined) models.push(model);
    }
  }
  return models;
}

async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(thrown) ?? '')) return [];
    throw fileProblem(folder, thrown);
  }
}

/** Undefined where there is no config.json: then it is something else. */
async function describe(
  path: string,
  name: string,
  source: LocalModel['source'],
  commit: string | undefined,
  revisions: readonly string[],
): Promise<LocalModel | undefined> {
  if ((await kindOf(join(path, 'config.json'))) !== 'file') return undefined;
  let family: string | undefined;
  let weightBytes = 0;
  let problem: string | undefined;
  try {
    const config = await readJson(join(path, 'config.json'));
    if (
      typeof config === 'object' &&
      config !== null &&
      'model_type' in config &&
      typeof config.model_type === 'string'
    )
      family = config.model_type;
    for (const file of (await inspectModelFolder(path, { name })).weights) weightBytes += (await stat(file)).size;
  } catch (thrown) {
    if (!(thrown instanceof UserError)) throw thrown;
    problem = thrown.message;
  }
  return { name, path: resolve(path), source, commit, revisions, family, weightBytes, problem };
}
