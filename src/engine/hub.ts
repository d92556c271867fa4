/**
 * Models of the Hugging Face hub, in the cache that the Python tools use too: `models--<owner>--<name>/` with `blobs/` (the bytes,
 * named by their hash), `snapshots/<commit>/` (links to them) and `refs/` (which commit a branch was last seen at). What Python
 * downloaded is found here, and the other way round.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { UserError } from '../base/errors.ts';
import { useProxyOfEnvironment } from './proxy.ts';
import { fileProblem, systemErrorCode } from './text-files.ts';

export type HubProgress =
  | { readonly kind: 'download'; readonly file: string; readonly receivedBytes: number; readonly totalBytes: number }
  | { readonly kind: 'notice'; readonly message: string };

export interface HubOptions {
  /** A branch, a tag or a commit; default `main`. */
  readonly revision?: string;
  /** Default: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
  /** Default: HF_TOKEN or the file that `hf auth login` wrote. `null`: none. */
  readonly token?: string | null;
  /** Default: HF_ENDPOINT or https://huggingface.co. */
  readonly endpoint?: string;
  /** Use the cache only. Default: whether HF_HUB_OFFLINE is set. */
  readonly offline?: boolean;
  readonly onProgress?: (progress: HubProgress) => void;
  readonly signal?: AbortSignal;
}

/** A model of the hub on this disk. */
export interface Snapshot {
  readonly path: string;
  readonly commit: string;
}

// Where and as whom

function environment(name: string): string | undefined {
  const value = process.env[name]?.trim();
  return value === undefined || value === '' ? undefined : value;
}

function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') || path.startsWith('~\\') ? join(homedir(), path.slice(1)) : path;
}

function hubHome(): string {
  return expandHome(
    environment('HF_HOME') ?? join(environment('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface'),
  );
}

/** The folder that holds the cached models of this user, as the Python tools find it. */
export function hubCacheFolder(): string {
  return expandHome(environment('HF_HUB_CACHE') ?? environment('HUGGINGFACE_HUB_CACHE') ?? join(hubHome(), 'hub'));
}

/** Whether the user forbade the network. */
export function isHubOffline(): boolean {
  return ['HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'].some((name) => /^(1|on|yes|true)$/iu.test(environment(name) ?? ''));
}

function hubEndpoint(endpoint: string | undefined): URL {
  const text = endpoint ?? environment('HF_ENDPOINT') ?? 'https://huggingface.co';
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/u.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new UserError(
      'the address of the hub is not a plain http(s) URL',
      'Set HF_ENDPOINT to something like https://huggingface.co; put a token into HF_TOKEN, not into the address.',
    );
  return url;
}

async function hubToken(given: string | null | undefined): Promise<string | undefined> {
  if (given === null) return undefined;
  const found =
    given ?? environment('HF_TOKEN') ?? environment('HUGGING_FACE_HUB_TOKEN') ?? (await tokenOfCommandLine()) ?? '';
  // Line breaks come with copying, as Python's tools know too.
  const token = found.replaceAll(/[\r\n]/gu, '').trim();
  // Refused here, because fetch would quote it in its error.
  if (!/^[\x21-\x7e]*$/u.test(token))
    throw new UserError(
      'the token for the hub holds characters that no token has',
      'Set HF_TOKEN to the token alone, without blanks or quotes, or run `hf auth login` again.',
    );
  return token === '' ? undefined : token;
}

async function tokenOfCommandLine(): Promise<string | undefined> {
  try {
    return await readFile(expandHome(environment('HF_TOKEN_PATH') ?? join(hubHome(), 'token')), 'utf8');
  } catch {
    // No such file, or not ours to read: then there is no token.
    return undefined;
  }
}

/** Whether a name can be one of the hub's: `name` or `owner/name`. */
export function isHubId(name: string): boolean {
  return (
    /^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/u.test(name) && name.length <= 96 && !name.includes('--') && !name.includes('..')
  );
}

function repositoryFolder(cacheFolder: string, id: string): string {
  return join(cacheFolder, `models--${id.replaceAll('/', '--')}`);
}

const commitPattern = /^[0-9a-f]{40}$/u;

function checkRevision(revision: string): void {
  if (
    /^[\w.-]+(\/[\w.-]+)*$/u.test(revision) &&
    !revision.split('/').includes('..') &&
    !revision.split('/').includes('.')
  )
    return;
  throw new UserError(`"${revision}" cannot be a revision`, 'Give a branch (main), a tag or a commit.');
}

// Talking to the hub

/** The hub answered, but not with what was asked. */
class HubRefusal extends Error {
  override readonly name = 'HubRefusal';
  readonly status: number;
  /** What the hub says of it: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo. */
  readonly reason: string | undefined;
  /** It is the token that is refused, whatever was asked for. */
  readonly badToken: boolean;

  constructor(status: number, reason: string | undefined, badToken = false) {
    super(`status ${status}`);
    this.status = status;
    this.reason = reason;
    this.badToken = badToken;
  }

  /** The hub itself is unwell or busy, which says nothing of what was asked for. */
  get isPassing(): boolean {
    return this.status >= 500 || this.status === 429 || this.status === 408;
  }
}

/** No answer came. */
class HubUnreachable extends Error {
  override readonly name = 'HubUnreachable';
}

const answerWithin = 30_000;

type Fetch = typeof globalThis.fetch;

/**
 * `fetch` for one hub: sends the token to that hub and nobody else, gives up when no answer comes, and throws typed errors (which
 * hold neither token nor headers).
 */
function hubFetch(endpoint: URL, token: string | undefined, signal: AbortSignal | undefined): Fetch {
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = new Headers(init?.headers);
    if (token !== undefined && url.origin === endpoint.origin) headers.set('Authorization', `Bearer ${token}`);
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), answerWithin);
    let response: Response;
    try {
      const signals = signal === undefined ? [patience.signal] : [patience.signal, signal];
      response = await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
    } catch (thrown) {
      signal?.throwIfAborted();
      if (patience.signal.aborted) throw new HubUnreachable(`no answer within ${answerWithin / 1000} s`);
      const cause = thrown instanceof Error ? thrown.cause : undefined;
      throw new HubUnreachable(systemErrorCode(cause) ?? systemErrorCode(thrown) ?? 'the connection failed');
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    await response.body?.cancel();
    const badToken =
      response.status === 401 &&
      headers.has('Authorization') &&
      /invalid credentials|token.*expired/iu.test(response.headers.get('X-Error-Message') ?? '');
    throw new HubRefusal(response.status, response.headers.get('X-Error-Code') ?? undefined, badToken);
  };
}

function refused(
  id: string,
  revision: string,
  endpoint: URL,
  hasToken: boolean,
  { status, reason, badToken }: HubRefusal,
): UserError {
  const page = `${endpoint.origin}/${id}`;
  if (badToken)
    return new UserError(
      `${endpoint.origin} does not accept your token`,
      'It may be expired or revoked. Set HF_TOKEN to a valid one or run `hf auth login`; public models need none.',
    );
  if (reason === 'GatedRepo' || status === 403)
    return new UserError(
      `access to the model ${id} is restricted (status ${status})`,
      hasToken
        ? `Ask for access on ${page} with the account that your token belongs to, and check that the token may read gated models.`
        : `Accept its terms on ${page}, then set HF_TOKEN or run \`hf auth login\`.`,
    );
  if (reason === 'RevisionNotFound')
    return new UserError(`the model ${id} has no revision "${revision}"`, `See ${page}/tree/main for those it has.`);
  if (reason === 'RepoNotFound' || status === 401 || status === 404)
    return new UserError(
      `there is no model "${id}" on ${endpoint.origin}, or it is private`,
      hasToken
        ? 'Check the spelling, and that your token may read it.'
        : 'Check the spelling; for a private model set HF_TOKEN or run `hf auth login`. A local folder is given by its path.',
    );
  return new UserError(
    `the hub at ${endpoint.origin} answered status ${status} when asked for ${id}`,
    status === 429 ? 'It asks for patience; try again in a while.' : 'Try again later.',
  );
}

// Resolving

interface RemoteFile {
  readonly name: string;
  readonly size: number;
  /** The git blob's SHA-1, or the content's SHA-256 for large files. The name of the blob in the cache. */
  readonly hash: string;
}

/** What of a repository is wanted, given the names of its files. May throw a UserError when something indispensable is missing. */
export type ChooseFiles = (names: readonly string[]) => readonly string[];

/**
 * Finds a model of the hub in the cache, or downloads what is missing there. A branch is looked up on the hub each time; when the hub
 * cannot be reached or is out of order, the commit that the cache last saw is used and said so.
 * @throws UserError for an unknown or restricted model, no network, an interrupted download, a full disk; the `signal`'s reason
 */
export async function hubSnapshot(id: string, choose: ChooseFiles, options: HubOptions = {}): Promise<Snapshot> {
  const revision = options.revision ?? 'main';
  checkRevision(revision);
  const cacheFolder = options.cacheDir ?? hubCacheFolder();
  const cached = await cachedSnapshot(cacheFolder, id, revision);
  if (options.offline ?? isHubOffline()) {
    if (cached !== undefined) return cached;
    throw new UserError(
      `the model ${id} (revision ${revision}) is not in the cache ${cacheFolder}, and the hub may not be asked`,
      'Unset HF_HUB_OFFLINE to download it, or give the path of a folder.',
    );
  }
  const endpoint = hubEndpoint(options.endpoint);
  const token = await hubToken(options.token);
  try {
    return await download(id, revision, choose, cacheFolder, endpoint, token, options);
  } catch (thrown) {
    if (thrown instanceof HubRefusal && (cached === undefined || !thrown.isPassing))
      throw refused(id, revision, endpoint, token !== undefined, thrown);
    if (!(thrown instanceof HubUnreachable) && !(thrown instanceof HubRefusal)) throw thrown;
    const problem = `the hub at ${endpoint.origin} cannot be reached (${thrown.message})`;
    if (cached === undefined)
      throw new UserError(
        `${problem}, and the model ${id} is not in the cache ${cacheFolder}`,
        'Check the network (HTTPS_PROXY, where a proxy is needed), or give the path of a folder.',
      );
    options.onProgress?.({
      kind: 'notice',
      message: `${problem}; using ${id} as cached (commit ${cached.commit})`,
    });
    return cached;
  }
}

async function cachedSnapshot(cacheFolder: string, id: string, revision: string): Promise<Snapshot | undefined> {
  const repository = repositoryFolder(cacheFolder, id);
  let commit = revision;
  if (!commitPattern.test(revision))
    try {
      commit = (await readFile(join(repository, 'refs', revision), 'utf8')).trim();
    } catch (thrown) {
      if (systemErrorCode(thrown) === undefined) throw thrown;
      return undefined;
    }
  const path = join(repository, 'snapshots', commit);
  return commitPattern.test(commit) && (await exists(path)) ? { path, commit } : undefined;
}

/** Whether something is there, links followed. */
async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function download(
  id: string,
  revision: string,
  choose: ChooseFiles,
  cacheFolder: string,
  endpoint: URL,
  token: string | undefined,
  options: HubOptions,
): Promise<Snapshot> {
  // Loaded only here: most commands never talk to the hub.
  const { modelInfo, listFiles, fileDownloadInfo } = await import('@huggingface/hub');
  useProxyOfEnvironment();
  const hub = { hubUrl: endpoint.href.replace(/\/+$/u, ''), fetch: hubFetch(endpoint, token, options.signal) };
  const { sha: commit } = await answerOf(endpoint, options.signal, () =>
    modelInfo({ ...hub, name: id, revision, additionalFields: ['sha'] }),
  );
  if (typeof commit !== 'string' || !commitPattern.test(commit)) throw malformedAnswer(endpoint);

  const repo = { type: 'model', name: id } as const;
  const remote = new Map<string, RemoteFile>();
  const listing = await answerOf(endpoint, options.signal, async () => {
    const entries = [];
    for await (const entry of listFiles({ ...hub, repo, revision: commit })) entries.push(entry);
    return entries;
  });
  for (const { type, path, size, oid, lfs } of listing) {
    // Only files at the top are ever wanted, and a name that is more than a name must not become a path.
    if (type !== 'file' || !/^[\w.-]+$/u.test(path) || path.startsWith('..')) continue;
    const hash = (lfs?.oid ?? oid ?? '').replace(/^sha256:/u, '');
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/u.test(hash)) throw malformedAnswer(endpoint);
    remote.set(path, { name: path, size: lfs?.size ?? size, hash });
  }
  const repository = repositoryFolder(cacheFolder, id);
  const snapshot = join(repository, 'snapshots', commit);
  for (const name of choose([...remote.keys()])) {
    const file = remote.get(name);
    const target = join(snapshot, name);
    if (file === undefined || (await exists(target))) continue;
    const blob = join(repository, 'blobs', file.hash);
    try {
      await mkdir(dirname(blob), { recursive: true });
      await mkdir(snapshot, { recursive: true });
      if (!(await exists(blob))) {
        const info = await answerOf(endpoint, options.signal, () =>
          fileDownloadInfo({ ...hub, repo, path: name, revision: commit }),
        );
        if (info === null) throw new HubRefusal(404, 'EntryNotFound');
        await downloadBlob(info.url, file, blob, hub.fetch, id, options);
      }
      await link(blob, target);
    } catch (thrown) {
      throw fileProblem(blob, thrown);
    }
  }
  if (revision !== commit) {
    const reference = join(repository, 'refs', revision);
    try {
      await mkdir(dirname(reference), { recursive: true });
      await writeFile(reference, commit);
    } catch (thrown) {
      throw fileProblem(reference, thrown);
    }
  }
  return { path: snapshot, commit };
}

function malformedAnswer(endpoint: URL, cause?: unknown): UserError {
  return new UserError(
    `${endpoint.origin} does not answer as a Hugging Face hub does`,
    'Check HF_ENDPOINT; a proxy, or the login page of a network, may have answered in its place.',
    { cause },
  );
}

/** What the hub's library makes of an answer; it throws whatever comes to pass where the answer is cut off, or a page and no data. */
async function answerOf<T>(endpoint: URL, signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof HubRefusal || thrown instanceof HubUnreachable) throw thrown;
    signal?.throwIfAborted();
    const code = thrown instanceof Error ? systemErrorCode(thrown.cause) : undefined;
    if (code !== undefined) throw new HubUnreachable(code);
    throw malformedAnswer(endpoint, thrown);
  }
}

/** A link from the snapshot to the blob, relative so that the cache can be moved; a copy where links are not allowed. */
async function link(blob: string, target: string): Promise<void> {
  try {
    await symlink(relative(dirname(target), blob), target);
  } catch (thrown) {
    if (systemErrorCode(thrown) !== 'EEXIST') {
      // Put in place whole: half a copy would be taken for the file ever after.
      const beside = `${target}.${process.pid}-${randomUUID().slice(0, 8)}.tmp`;
      try {
        await copyFile(blob, beside);
        await rename(beside, target);
      } finally {
        await rm(beside, { force: true });
      }
      return;
    }
    // Another process may have made it; a link that leads nowhere is replaced.
    if (await exists(target)) return;
    await rm(target);
    await symlink(relative(dirname(target), blob), target);
  }
}

// Downloading one file

const attempts = 3;
const active = new Set<string>();

/**
 * Downloads a file beside its place, checks length and hash, and renames it: a blob is always whole. A download that was broken off,
 * even by another process, is continued.
 */
async function downloadBlob(
  url: string,
  file: RemoteFile,
  blob: string,
  hubFetchFile: Fetch,
  id: string,
  options: HubOptions,
): Promise<void> {
  const partial = await claimPartial(blob);
  active.add(partial);
  try {
    let problem = '';
    for (let attempt = 0; attempt < attempts; attempt++) {
      options.signal?.throwIfAborted();
      const outcome = await continueDownload(url, file, partial, hubFetchFile, options);
      if (outcome === 'whole') {
        await rename(partial, blob);
        return;
      }
      problem = outcome;
    }
    throw new UserError(
      `the download of ${file.name} of ${id} did not succeed: ${problem}`,
      'Run the same command again; it goes on from where it stopped.',
    );
  } finally {
    active.delete(partial);
  }
}

/** Adds what is missing to a partial file. Returns `whole`, or what went wrong on the way. */
async function continueDownload(
  url: string,
  file: RemoteFile,
  partial: string,
  hubFetchFile: Fetch,
  options: HubOptions,
): Promise<string> {
  const handle = await open(partial, 'a+');
  try {
    let received = (await handle.stat()).size;
    if (received > file.size) {
      await handle.truncate(0);
      received = 0;
    }
    let hash = startHash(file);
    if (received > 0)
      for await (const chunk of createReadStream(partial, { end: received - 1 })) hash.update(chunk as Uint8Array);
    if (received < file.size) {
      const response = await hubFetchFile(url, received === 0 ? {} : { headers: { Range: `bytes=${received}-` } });
      if (received > 0 && !(response.headers.get('Content-Range') ?? '').startsWith(`bytes ${received}-`)) {
        // The whole file comes, whatever was asked for.
        await handle.truncate(0);
        received = 0;
        hash = startHash(file);
      }
      try {
        for await (const chunk of response.body ?? []) {
          const bytes = chunk as Uint8Array;
          received += bytes.length;
          if (received > file.size) break;
          await handle.appendFile(bytes);
          hash.update(bytes);
          options.onProgress?.({ kind: 'download', file: file.name, receivedBytes: received, totalBytes: file.size });
        }
      } catch (thrown) {
        options.signal?.throwIfAborted();
        if (isWriteProblem(thrown)) throw thrown;
        return `the connection broke after ${received} of ${file.size} bytes`;
      }
      if (received < file.size) return `it ended after ${received} of ${file.size} bytes`;
    }
    if (received === file.size && hash.digest('hex') === file.hash) {
      await handle.sync();
      return 'whole';
    }
    await handle.truncate(0);
    return 'what came is not the file that the hub promised (its hash differs)';
  } finally {
    await handle.close();
  }
}

/** Disk problems carry the code of a system call on a file; those of the connection come from the network layer. */
function isWriteProblem(thrown: unknown): boolean {
  return thrown instanceof Error && 'syscall' in thrown && thrown.syscall === 'write';
}

function startHash({ hash, size }: RemoteFile): Hash {
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

/**
 * The partial file to write to: one that a process that is gone left behind, renamed to ours so that nobody else continues it too, or
 * a new one.
 */
async function claimPartial(blob: string): Promise<string> {
  const host = hostname().replaceAll(/[^\w-]/gu, '_');
  const own = `${blob}.${host}.${process.pid}.${randomUUID().slice(0, 8)}.incomplete`;
  const prefix = `${blob}.${host}.`;
  const folder = dirname(blob);
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!path.startsWith(prefix) || !name.endsWith('.incomplete') || active.has(path)) continue;
    const owner = Number(path.slice(prefix.length).split('.')[0]);
    if (owner !== process.pid && isAlive(owner)) continue;
    try {
      await rename(path, own);
      return own;
    } catch (thrown) {
      // Another process was quicker.
      if (systemErrorCode(thrown) !== 'ENOENT') throw thrown;
    }
  }
  return own;
}

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (thrown) {
    return systemErrorCode(thrown) === 'EPERM';
  }
}

// What the cache holds

export interface CachedRepository {
  readonly id: string;
  readonly snapshots: readonly {
    readonly path: string;
    readonly commit: string;
    readonly revisions: readonly string[];
  }[];
}

/** The models in a hub cache; none if there is no cache. */
export async function cachedRepositories(cacheFolder: string): Promise<readonly CachedRepository[]> {
  const repositories: CachedRepository[] = [];
  for (const name of await names(cacheFolder)) {
    if (!name.startsWith('models--')) continue;
    const repository = join(cacheFolder, name);
    const revisions = new Map<string, string[]>();
    for (const reference of await referencesIn(join(repository, 'refs'), '')) {
      const commit = (await readFile(join(repository, 'refs', reference), 'utf8')).trim();
      revisions.set(commit, [...(revisions.get(commit) ?? []), reference]);
    }
    const snapshots = (await names(join(repository, 'snapshots')))
      .filter((commit) => commitPattern.test(commit))
      .map((commit) => ({
        path: join(repository, 'snapshots', commit),
        commit,
        revisions: revisions.get(commit) ?? [],
      }));
    repositories.push({ id: name.slice('models--'.length).replaceAll('--', '/'), snapshots });
  }
  return repositories;
}

async function referencesIn(folder: string, prefix: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of await names(folder)) {
    const entry = await lstat(join(folder, name));
    if (entry.isDirectory()) found.push(...(await referencesIn(join(folder, name), `${prefix}${name}/`)));
    else found.push(prefix + name);
  }
  return found;
}

async function names(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (thrown) {
    const code = systemErrorCode(thrown);
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw fileProblem(folder, thrown);
  }
}
