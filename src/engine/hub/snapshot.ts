/** Finds a model of the Hugging Face hub in the cache, or brings it there. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../../base/errors.ts';
import { useProxyOfEnvironment } from '../proxy.ts';
import { fileProblem } from '../text-files.ts';
import { cachedSnapshot, commitPattern, exists, link, repositoryFolder, type Snapshot } from './cache.ts';
import { answerOf, hubFetch, HubRefusal, HubUnreachable, malformedAnswer, type Fetch } from './client.ts';
import { downloadBlob, type RemoteFile } from './download-blob.ts';
import { hubCacheFolder, hubEndpoint, hubToken, isHubOffline } from './environment.ts';

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

/** Whether a name can be one of the hub's: `name` or `owner/name`. */
export function isHubId(name: string): boolean {
  return (
    /^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/u.test(name) && name.length <= 96 && !name.includes('--') && !name.includes('..')
  );
}

function checkRevision(revision: string): void {
  if (
    /^[\w.-]+(\/[\w.-]+)*$/u.test(revision) &&
    !revision.split('/').includes('..') &&
    !revision.split('/').includes('.')
  )
    return;
  throw new UserError(`"${revision}" cannot be a revision`, 'Give a branch (main), a tag or a commit.');
}

/** What of a repository is wanted, given the names of its files. May throw a UserError when something indispensable is missing. */
export type ChooseFiles = (names: readonly string[]) => readonly string[];

/** What is asked for, of whom, and where it is kept. */
interface Request {
  readonly id: string;
  readonly revision: string;
  readonly cacheFolder: string;
  readonly endpoint: URL;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: HubOptions['onProgress'];
}

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
  const { signal, onProgress } = options;
  const request: Request = { id, revision, cacheFolder, endpoint, token, signal, onProgress };
  try {
    return await download(request, choose);
  } catch (thrown) {
    if (thrown instanceof HubRefusal && (cached === undefined || !thrown.isPassing)) throw refused(request, thrown);
    if (!(thrown instanceof HubUnreachable) && !(thrown instanceof HubRefusal)) throw thrown;
    const problem = `the hub at ${endpoint.origin} cannot be reached (${thrown.message})`;
    if (cached === undefined)
      throw new UserError(
        `${problem}, and the model ${id} is not in the cache ${cacheFolder}`,
        'Check the network (HTTPS_PROXY, where a proxy is needed), or give the path of a folder.',
      );
    onProgress?.({
      kind: 'notice',
      message: `${problem}; using ${id} as cached (commit ${cached.commit})`,
    });
    return cached;
  }
}

/** A refusal in the user's words. */
function refused({ id, revision, endpoint, token }: Request, { status, reason, badToken }: HubRefusal): UserError {
  const hasToken = token !== undefined;
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

/** Brings what is wanted of a model into the cache, as far as it is not there. */
async function download(request: Request, choose: ChooseFiles): Promise<Snapshot> {
  const { id, revision, cacheFolder, endpoint, token, signal } = request;
  useProxyOfEnvironment();
  const hub: Hub = { hubUrl: endpoint.href.replace(/\/+$/u, ''), fetch: hubFetch(endpoint, token, signal) };
  const commit = await commitOf(request, hub);
  const remote = await filesOf(request, hub, commit);
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
      if (!(await exists(blob))) await fetchBlob(request, hub, { commit, file, blob });
      await link(blob, target);
    } catch (thrown) {
      throw fileProblem(blob, thrown);
    }
  }
  if (revision !== commit) await writeReference(join(repository, 'refs', revision), commit);
  return { path: snapshot, commit };
}

/** How the hub's library is told whom to ask, and by which means. */
interface Hub {
  readonly hubUrl: string;
  readonly fetch: Fetch;
}

/** The commit that a revision stands for. */
async function commitOf({ id, revision, endpoint, signal }: Request, hub: Hub): Promise<string> {
  // Loaded only here and below: most commands never talk to the hub.
  const { modelInfo } = await import('@huggingface/hub');
  const { sha } = await answerOf(endpoint, signal, () =>
    modelInfo({ ...hub, name: id, revision, additionalFields: ['sha'] }),
  );
  if (typeof sha !== 'string' || !commitPattern.test(sha)) throw malformedAnswer(endpoint);
  return sha;
}

/** The files of a commit by name; only those at the top, for no other is ever wanted. */
async function filesOf(
  { id, endpoint, signal }: Request,
  hub: Hub,
  commit: string,
): Promise<ReadonlyMap<string, RemoteFile>> {
  const { listFiles } = await import('@huggingface/hub');
  const listing = await answerOf(endpoint, signal, async () => {
    const entries = [];
    for await (const entry of listFiles({ ...hub, repo: { type: 'model', name: id }, revision: commit }))
      entries.push(entry);
    return entries;
  });
  const remote = new Map<string, RemoteFile>();
  for (const { type, path, size, oid, lfs } of listing) {
    // A name that is more than a name must not become a path.
    if (type !== 'file' || !/^[\w.-]+$/u.test(path) || path.startsWith('..')) continue;
    const hash = (lfs?.oid ?? oid ?? '').replace(/^sha256:/u, '');
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/u.test(hash)) throw malformedAnswer(endpoint);
    remote.set(path, { name: path, size: lfs?.size ?? size, hash });
  }
  return remote;
}

async function fetchBlob(
  { id, endpoint, signal, onProgress }: Request,
  hub: Hub,
  { commit, file, blob }: { readonly commit: string; readonly file: RemoteFile; readonly blob: string },
): Promise<void> {
  const { fileDownloadInfo } = await import('@huggingface/hub');
  const found = await answerOf(endpoint, signal, () =>
    fileDownloadInfo({ ...hub, repo: { type: 'model', name: id }, path: file.name, revision: commit }),
  );
  if (found === null) throw new HubRefusal(404, 'EntryNotFound');
  await downloadBlob(
    {
      url: found.url,
      file,
      model: id,
      fetch: hub.fetch,
      signal,
      onReceived: (receivedBytes) =>
        onProgress?.({ kind: 'download', file: file.name, receivedBytes, totalBytes: file.size }),
    },
    blob,
  );
}

/** Notes which commit a branch or tag was last seen at. */
async function writeReference(file: string, commit: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, commit);
  } catch (thrown) {
    throw fileProblem(file, thrown);
  }
}
