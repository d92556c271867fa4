import { createHash } from 'node:crypto';
import { cp, lstat, mkdir, mkdtemp, readFile, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { FileError, UserError } from '../../../src/base/errors.ts';
import { hubCacheFolder } from '../../../src/engine/hub/environment.ts';
import type { HubProgress } from '../../../src/engine/hub/snapshot.ts';
import { listLocalModels, resolveModel } from '../../../src/engine/model-folder.ts';
import type { ResolveOptions } from '../../../src/engine/model-folder.ts';
import { openCheckpoint, writeSafetensors } from '../../../src/engine/safetensors.ts';
import { loadTokenizer } from '../../../src/engine/tokenizers/load.ts';

const tokenizerFixture = join(import.meta.dirname, '../../fixtures/tokenizers/bert_uncased');
const commit = '0123456789abcdef0123456789abcdef01234567';
const secret = 'not_even_hf_shaped_secret_token';

/** A repository of the stand-in hub. */
interface Repository {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly access?: 'open' | 'gated' | 'private';
  readonly commit?: string;
}

/** One way in which a download goes wrong. */
type Fault = 'broken-off' | 'silent-end' | 'no-ranges' | 'wrong-bytes';

/**
 * A hub as `@huggingface/hub` calls it: model information, the tree, and files with ranges. Large files are redirected to a second
 * origin, as the real one does.
 */
class Hub {
  readonly repositories = new Map<string, Repository>();
  /** Faults for the next downloads of whole files or their rests, in order. */
  faults: Fault[] = [];
  requests: {
    readonly origin: 'hub' | 'store';
    readonly path: string;
    readonly range: string | undefined;
    readonly authorization: string | undefined;
  }[] = [];
  status: number | undefined;
  /** What it says of a token that it does not know; undefined: nothing, as if the token were none. */
  badToken: string | undefined;
  /** What it answers in place of JSON: a page, or a connection that breaks. */
  insteadOfData: 'page' | 'broken' | undefined;
  private readonly hub: Server = createServer((request, response) => this.answer(request, response));
  private readonly store: Server = createServer((request, response) => this.answerStore(request, response));

  async start(): Promise<void> {
    for (const server of [this.hub, this.store])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  }

  async stop(): Promise<void> {
    for (const server of [this.hub, this.store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return origin(this.hub);
  }

  get storeOrigin(): string {
    return origin(this.store);
  }

  downloads(): number {
    return this.requests.filter(({ path, range }) => /\/resolve\/|^\/store\//u.test(path) && range !== 'bytes=0-0')
      .length;
  }

  private note(origin: 'hub' | 'store', request: IncomingMessage): URL {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const { range, authorization } = request.headers;
    this.requests.push({ origin, path: url.pathname, range, authorization });
    return url;
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = this.note('hub', request);
    const refuse = (status: number, code?: string): void => {
      response.writeHead(status, {
        'Content-Type': 'application/json',
        ...(code === undefined ? {} : { 'X-Error-Code': code }),
      });
      response.end(JSON.stringify({ error: `Sent with ${request.headers.authorization ?? 'nothing'}` }));
    };
    const api = /^\/api\/models\/(?<id>.+?)\/(?<what>revision|tree)\/(?<revision>[^/]+)$/u.exec(url.pathname)?.groups;
    const file = /^\/(?<id>.+?)\/resolve\/(?<revision>[^/]+)\/(?<name>[^/]+)$/u.exec(url.pathname)?.groups;
    const id = (api ?? file)?.['id'] ?? '';
    const repository = this.repositories.get(id);
    const authorized = request.headers.authorization === `Bearer ${secret}`;
    if (this.status !== undefined) {
      refuse(this.status);
      return;
    }
    if (this.insteadOfData !== undefined) {
      response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Length': 1000 });
      if (this.insteadOfData === 'broken') response.write('{', () => response.destroy());
      else response.end('<html>Please log in to the network</html>'.padEnd(1000));
      return;
    }
    if (this.badToken !== undefined && request.headers.authorization !== undefined && !authorized) {
      response.setHeader('X-Error-Message', this.badToken);
      refuse(401);
      return;
    }
    if (repository === undefined || (repository.access === 'private' && !authorized)) {
      refuse(authorized ? 404 : 401, 'RepoNotFound');
      return;
    }
    const head = repository.commit ?? commit;
    if (!['main', head].includes(decodeURIComponent((api ?? file)?.['revision'] ?? ''))) {
      refuse(404, 'RevisionNotFound');
      return;
    }
    if (api?.['what'] === 'revision') {
      response.setHeader('Content-Type', 'application/json');
      response.end(
        JSON.stringify({
          _id: '1',
          id,
          sha: head,
          private: false,
          lastModified: new Date(0),
          gated: false,
          likes: 0,
          downloads: 0,
        }),
      );
      return;
    }
    if (api?.['what'] === 'tree') {
      const entries = [...repository.files].map(([path, bytes]) =>
        isLarge(path)
          ? {
              type: 'file',
              path,
              size: bytes.length,
              oid: 'f'.repeat(40),
              lfs: { oid: hashOf('sha256', bytes), size: bytes.length, pointerSize: 130 },
            }
          : { type: 'file', path, size: bytes.length, oid: gitHash(bytes) },
      );
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify([{ type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) }, ...entries]));
      return;
    }
    const name = file?.['name'] ?? '';
    const bytes = repository.files.get(name);
    if (bytes === undefined) refuse(404, 'EntryNotFound');
    else if (repository.access === 'gated' && !authorized) refuse(401, 'GatedRepo');
    else if (isLarge(name)) {
      response.writeHead(302, { Location: `${origin(this.store)}/store/${encodeURIComponent(id)}/${name}` });
      response.end();
    } else this.send(request, response, bytes);
  }

  private answerStore(request: IncomingMessage, response: ServerResponse): void {
    const [, , id = '', name = ''] = this.note('store', request).pathname.split('/');
    const bytes = this.repositories.get(decodeURIComponent(id))?.files.get(name);
    if (bytes !== undefined) this.send(request, response, bytes);
    else {
      response.writeHead(404);
      response.end();
    }
  }

  private send(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array): void {
    const range = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? '');
    const probe = request.headers.range === 'bytes=0-0';
    const fault = probe ? undefined : this.faults.shift();
    const start = fault === 'no-ranges' ? 0 : Number(range?.[1] ?? 0);
    const end = range?.[2] === undefined || range[2] === '' ? bytes.length : Number(range[2]) + 1;
    const part = fault === 'wrong-bytes' ? new Uint8Array(end - start) : bytes.subarray(start, end);
    const partial = range !== null && fault !== 'no-ranges';
    response.writeHead(partial ? 206 : 200, {
      ETag: '"etag"',
      ...(partial ? { 'Content-Range': `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
      // Without a length the connection just ends, and nobody can tell that something is missing.
      ...(fault === 'silent-end' ? {} : { 'Content-Length': part.length }),
    });
    if (fault === 'broken-off') response.write(part.subarray(0, Math.floor(part.length / 2)), () => response.destroy());
    else response.end(fault === 'silent-end' ? part.subarray(0, Math.floor(part.length / 2)) : part);
  }
}

function origin(server: Server): string {
  const address = server.address();
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : '';
}

function isLarge(name: string): boolean {
  return name.endsWith('.safetensors');
}

function hashOf(algorithm: string, ...parts: (string | Uint8Array)[]): string {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function gitHash(bytes: Uint8Array): string {
  return hashOf('sha1', `blob ${bytes.length}\0`, bytes);
}

const hub = new Hub();
let scratch: string;
let cacheDir: string;
let modelFiles: Map<string, Uint8Array>;

beforeAll(async () => {
  await hub.start();
  scratch = await mkdtemp(join(tmpdir(), 'hub-'));
  const weights = join(scratch, 'model.safetensors');
  await writeSafetensors(
    weights,
    new Map([['embeddings.weight', { shape: [300, 100], data: new Float32Array(30_000).fill(0.5) }]]),
  );
  modelFiles = new Map<string, Uint8Array>([
    ['config.json', new TextEncoder().encode('{"model_type": "bert", "vocab_size": 300}')],
    ['model.safetensors', await readFile(weights)],
    ['README.md', new TextEncoder().encode('not needed')],
    ['pytorch_model.bin', new Uint8Array(10)],
  ]);
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt'])
    modelFiles.set(name, await readFile(join(tokenizerFixture, name)));
});

afterAll(async () => {
  await hub.stop();
  await rm(scratch, { recursive: true });
});

beforeEach(async () => {
  cacheDir = await mkdtemp(join(scratch, 'cache-'));
  hub.repositories.clear();
  hub.repositories.set('someone/tiny', { files: modelFiles });
  hub.faults = [];
  hub.requests = [];
  hub.status = undefined;
  hub.badToken = undefined;
  hub.insteadOfData = undefined;
  // Whatever the machine that runs this has set.
  for (const name of [
    'HF_TOKEN',
    'HUGGING_FACE_HUB_TOKEN',
    'HF_HUB_OFFLINE',
    'TRANSFORMERS_OFFLINE',
    'HF_ENDPOINT',
    'HF_HUB_CACHE',
    'HUGGINGFACE_HUB_CACHE',
    'HF_HOME',
    'XDG_CACHE_HOME',
    'HTTP_PROXY',
    'HTTPS_PROXY',
    'NO_PROXY',
    'http_proxy',
    'https_proxy',
    'no_proxy',
    'ALL_PROXY',
    'all_proxy',
  ])
    vi.stubEnv(name, undefined);
  vi.stubEnv('HF_TOKEN_PATH', join(scratch, 'no-token'));
});

afterEach(() => {
  vi.unstubAllEnvs();
});

function options(more: ResolveOptions = {}): ResolveOptions {
  return { cacheDir, endpoint: hub.endpoint, ...more };
}

async function failure(promise: Promise<unknown>): Promise<UserError> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof UserError)) throw new Error('expected a UserError', { cause: thrown });
  for (let error: unknown = thrown; error instanceof Error; error = error.cause)
    expect(`${error.message} ${error.stack ?? ''} ${JSON.stringify(error)}`).not.toContain(secret);
  return thrown;
}

async function blobsLeft(): Promise<string[]> {
  return (await readdir(join(cacheDir, 'models--someone--tiny', 'blobs'))).toSorted();
}

describe('a model of the hub', () => {
  it('is downloaded once, only the files that are needed, in the layout of the Python tools', async () => {
    const log = vi.spyOn(console, 'debug');
    const progress: HubProgress[] = [];
    const folder = await resolveModel('someone/tiny', options({ onProgress: (p) => progress.push(p) }));
    expect(folder).toMatchObject({
      name: 'someone/tiny',
      origin: { kind: 'hub', id: 'someone/tiny', revision: 'main', commit },
    });
    const repository = join(cacheDir, 'models--someone--tiny');
    expect(folder.path).toBe(join(repository, 'snapshots', commit));
    expect((await readdir(folder.path)).toSorted()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
      'vocab.txt',
    ]);
    expect(await readFile(join(repository, 'refs', 'main'), 'utf8')).toBe(commit);
    for (const [name, bytes] of modelFiles) {
      if (name === 'README.md' || name === 'pytorch_model.bin') continue;
      const hash = isLarge(name) ? hashOf('sha256', bytes) : gitHash(bytes);
      expect(await readlink(join(folder.path, name))).toBe(join('..', '..', 'blobs', hash));
      expect(new Uint8Array(await readFile(join(folder.path, name)))).toEqual(new Uint8Array(bytes));
    }
    expect(progress.at(-1)).toMatchObject({ kind: 'download' });
    expect((await openCheckpoint(folder.path)).has('embeddings.weight')).toBe(true);
    expect((await loadTokenizer(folder)).encode('hello').tokens).toContain('hello');

    expect(hub.downloads()).toBe(5 + 1); // the weights are redirected, which makes two requests
    await resolveModel('someone/tiny', options());
    expect(hub.downloads()).toBe(5 + 1);
    expect(log).not.toHaveBeenCalled();
  });

  it('by commit, in full in the cache, still asks the hub for what else it has', async () => {
    const first = await resolveModel('someone/tiny', options({ revision: commit }));
    const again = await resolveModel('someone/tiny', options({ revision: commit }));
    expect(again.path).toBe(first.path);
    expect(hub.downloads()).toBe(6);
  });

  it('without weights or tokenizer when they are not required', async () => {
    const folder = await resolveModel('someone/tiny', options({ require: ['config'] }));
    expect(folder.weights).toEqual([]);
    expect(await readdir(folder.path)).not.toContain('model.safetensors');
  });

  it('in shards', async () => {
    const shard = modelFiles.get('model.safetensors') ?? new Uint8Array();
    const files = new Map(modelFiles);
    files.delete('model.safetensors');
    files.set('model-00001-of-00001.safetensors', shard);
    files.set(
      'model.safetensors.index.json',
      new TextEncoder().encode('{"weight_map": {"embeddings.weight": "model-00001-of-00001.safetensors"}}'),
    );
    hub.repositories.set('someone/tiny', { files });
    const folder = await resolveModel('someone/tiny', options());
    expect(folder.weights).toEqual([join(folder.path, 'model-00001-of-00001.safetensors')]);
    expect((await openCheckpoint(folder.path)).has('embeddings.weight')).toBe(true);
  });

  it('moves on with its branch and keeps the old snapshot', async () => {
    const old = await resolveModel('someone/tiny', options());
    const next = 'f'.repeat(40);
    const files = new Map(modelFiles).set(
      'config.json',
      new TextEncoder().encode('{"model_type": "bert", "vocab_size": 301}'),
    );
    hub.repositories.set('someone/tiny', { files, commit: next });
    const folder = await resolveModel('someone/tiny', options());
    expect(folder.path.endsWith(next)).toBe(true);
    expect(await readFile(folder.config, 'utf8')).toContain('301');
    expect(await readFile(old.config, 'utf8')).toContain('300');
    expect(hub.downloads()).toBe(6 + 1); // only the changed file
  });
});

describe('tokens', () => {
  it('go to the hub and to nobody else', async () => {
    hub.repositories.set('someone/tiny', { files: modelFiles, access: 'private' });
    await resolveModel('someone/tiny', options({ token: secret }));
    expect(hub.requests.filter(({ origin }) => origin === 'store').length).toBeGreaterThan(0);
    for (const { origin, authorization } of hub.requests)
      expect(authorization).toBe(origin === 'hub' ? `Bearer ${secret}` : undefined);
  });

  it('may be broken in two lines, but hold nothing that a header cannot carry, and are not quoted then', async () => {
    hub.repositories.set('someone/tiny', { files: modelFiles, access: 'private' });
    await resolveModel('someone/tiny', options({ token: `${secret.slice(0, 9)}\r\n${secret.slice(9)}\n` }));
    vi.stubEnv('HF_TOKEN', `\u201c${secret}\u201d`);
    const error = await failure(resolveModel('someone/tiny', options()));
    expect(error.message).toMatch(/characters that no token has[^]*HF_TOKEN/u);
  });

  it('come from HF_TOKEN, or from the file of the command line tool', async () => {
    hub.repositories.set('someone/tiny', { files: modelFiles, access: 'gated' });
    await writeFile(join(scratch, 'token'), `${secret}\n`);
    vi.stubEnv('HF_TOKEN_PATH', join(scratch, 'token'));
    await resolveModel('someone/tiny', options());
    vi.stubEnv('HF_TOKEN', 'another');
    await failure(resolveModel('someone/tiny', options({ cacheDir: join(scratch, 'other-cache') })));
    expect(hub.requests.at(-1)?.authorization).toBe('Bearer another');
  });
});

/** A proxy that passes connections on, and says to where. */
async function startProxy(): Promise<{ readonly url: string; readonly asked: string[]; stop(): Promise<unknown> }> {
  const asked: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer();
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    asked.push(request.url ?? '');
    const { hostname: host, port } = new URL(`http://${request.url ?? ''}`);
    const onward = connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    sockets.push(socket, onward);
    for (const end of [socket, onward]) end.on('error', () => end.destroy());
    onward.pipe(socket).pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = (): Promise<unknown> => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: origin(server), asked, stop };
}

describe('a proxy', () => {
  it('of the environment is used, but not for what NO_PROXY names', async () => {
    const proxy = await startProxy();
    try {
      vi.stubEnv('http_proxy', proxy.url);
      const folder = await resolveModel('someone/tiny', options());
      expect(new Set(proxy.asked)).toEqual(
        new Set([hub.endpoint, hub.storeOrigin].map((url) => url.slice('http://'.length))),
      );
      expect(await readFile(folder.config)).toEqual(Buffer.from(modelFiles.get('config.json') ?? []));
      proxy.asked.length = 0;
      vi.stubEnv('no_proxy', '127.0.0.1');
      await resolveModel('someone/tiny', options());
      vi.stubEnv('http_proxy', undefined);
      await resolveModel('someone/tiny', options());
      expect(proxy.asked).toEqual([]);
    } finally {
      await proxy.stop();
    }
  });

  it('for all addresses is used where there is none for the kind of address', async () => {
    const [all, own] = [await startProxy(), await startProxy()];
    try {
      vi.stubEnv('ALL_PROXY', all.url);
      await resolveModel('someone/tiny', options());
      expect(all.asked.length).toBeGreaterThan(0);
      all.asked.length = 0;
      vi.stubEnv('http_proxy', own.url);
      await resolveModel('someone/tiny', options({ cacheDir: join(scratch, 'proxied') }));
      expect([all.asked.length, own.asked.length > 0]).toEqual([0, true]);
    } finally {
      await all.stop();
      await own.stop();
    }
    vi.stubEnv('http_proxy', undefined);
    vi.stubEnv('ALL_PROXY', 'nonsense');
    expect((await failure(resolveModel('someone/other', options()))).message).toContain('ALL_PROXY');
  });

  it('that is no address is told', async () => {
    vi.stubEnv('HTTPS_PROXY', 'nonsense');
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('HTTPS_PROXY');
  });
});

describe('what goes wrong', () => {
  it('an unknown model', async () => {
    expect((await failure(resolveModel('someone/unheard', options()))).message).toMatch(/no model "someone\/unheard"/u);
    expect((await failure(resolveModel('someone/unheard', options({ token: secret })))).message).toMatch(/no model/u);
  });

  it('an unknown revision', async () => {
    expect((await failure(resolveModel('someone/tiny', options({ revision: 'nowhere' })))).message).toContain(
      'no revision "nowhere"',
    );
    expect((await failure(resolveModel('someone/tiny', options({ revision: '../../x' })))).message).toContain(
      'cannot be a revision',
    );
  });

  it('a gated model', async () => {
    hub.repositories.set('someone/tiny', { files: modelFiles, access: 'gated' });
    const error = await failure(resolveModel('someone/tiny', options({ token: null })));
    expect(error.message).toContain('restricted');
    expect(error.message).toContain(`${hub.endpoint}/someone/tiny`);
  });

  it('a hub that is broken or asks for patience', async () => {
    for (const status of [500, 429]) {
      hub.status = status;
      expect((await failure(resolveModel('someone/tiny', options({ token: secret })))).message).toContain(
        String(status),
      );
    }
  });

  it('a hub that is broken or asks for patience, unless the model is in the cache', async () => {
    const folder = await resolveModel('someone/tiny', options());
    for (const status of [502, 429]) {
      hub.status = status;
      const notices: HubProgress[] = [];
      const cached = await resolveModel('someone/tiny', options({ onProgress: (p) => notices.push(p) }));
      expect(cached.path).toBe(folder.path);
      expect(notices).toMatchObject([{ kind: 'notice', message: expect.stringContaining(String(status)) as string }]);
    }
    hub.status = 404;
    await failure(resolveModel('someone/tiny', options()));
  });

  it.each(['Invalid credentials in Authorization header', 'User Access Token "tiny" is expired'])(
    'a token that the hub refuses even for a public model (%s)',
    async (message) => {
      hub.badToken = message;
      const error = await failure(resolveModel('someone/tiny', options({ token: 'hf_old' })));
      expect(error.message).toMatch(/does not accept your token[^]*HF_TOKEN/u);
      expect(error.message).not.toContain('hf_old');
      await resolveModel('someone/tiny', options({ token: null }));
    },
  );

  it('a page in place of data, and an answer that is cut off', async () => {
    hub.insteadOfData = 'page';
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('does not answer as');
    hub.insteadOfData = 'broken';
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('cannot be reached');
  });

  it('no network', async () => {
    const closed = new Hub();
    await closed.start();
    const { endpoint } = closed;
    await closed.stop();
    expect((await failure(resolveModel('someone/tiny', options({ endpoint })))).message).toContain('ECONNREFUSED');
    const folder = await resolveModel('someone/tiny', options());
    const notices: HubProgress[] = [];
    const cached = await resolveModel('someone/tiny', options({ endpoint, onProgress: (p) => notices.push(p) }));
    expect(cached.path).toBe(folder.path);
    expect(notices).toMatchObject([{ kind: 'notice', message: expect.stringContaining('as cached') as string }]);
  });

  it('an address that is none, or that holds a password', async () => {
    for (const endpoint of ['huggingface.co', 'file:///x', `https://me:${secret}@huggingface.co`])
      expect((await failure(resolveModel('someone/tiny', options({ endpoint })))).message).toContain('HF_ENDPOINT');
  });

  it('something that is no hub', async () => {
    hub.repositories.set('someone/tiny', { files: modelFiles, commit: '../../../../etc' });
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('does not answer as');
  });

  it('a model without safetensors, or without a tokenizer, before anything is downloaded', async () => {
    const files = new Map(modelFiles);
    files.delete('model.safetensors');
    hub.repositories.set('someone/tiny', { files });
    expect((await failure(resolveModel('someone/tiny', options()))).message).toMatch(
      /only as pytorch_model\.bin[^]*save_pretrained/u,
    );
    hub.repositories.set('someone/tiny', {
      files: new Map([
        ['model.safetensors', new Uint8Array()],
        ['config.json', new Uint8Array()],
      ]),
    });
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('no tokenizer');
    expect(hub.downloads()).toBe(0);
  });

  it('a cache that cannot be written to', async () => {
    await writeFile(join(scratch, 'a-file'), '');
    expect(await failure(resolveModel('someone/tiny', options({ cacheDir: join(scratch, 'a-file') })))).toBeInstanceOf(
      FileError,
    );
  });

  it('a user who has enough', async () => {
    const controller = new AbortController();
    const enough = new Error('enough');
    const stopped = resolveModel(
      'someone/tiny',
      options({ signal: controller.signal, onProgress: () => controller.abort(enough) }),
    );
    await expect(stopped).rejects.toBe(enough);
  });
});

describe('a download that breaks off', () => {
  const only = 'model.safetensors';
  const weightsHash = (): string => hashOf('sha256', modelFiles.get(only) ?? '');

  beforeEach(async () => {
    // All but the weights are there, so that faults hit the weights.
    await resolveModel('someone/tiny', options());
    await rm(join(cacheDir, 'models--someone--tiny', 'blobs', weightsHash()));
    hub.requests = [];
  });

  const ranges = (): (string | undefined)[] =>
    hub.requests.filter(({ origin, range }) => origin === 'store' && range !== 'bytes=0-0').map(({ range }) => range);

  it.each<[string, Fault]>([
    ['with an error', 'broken-off'],
    ['in silence', 'silent-end'],
  ])('%s goes on from where it stopped', async (_, fault) => {
    hub.faults = [fault, fault];
    const folder = await resolveModel('someone/tiny', options());
    expect(new Uint8Array(await readFile(join(folder.path, only)))).toEqual(new Uint8Array(modelFiles.get(only) ?? []));
    expect(ranges()).toHaveLength(3);
    expect(ranges()[0]).toBeUndefined();
    expect(ranges()[2]).toMatch(/^bytes=[1-9]\d*-$/u);
  });

  it('begins again where the server knows no ranges', async () => {
    hub.faults = ['broken-off', 'no-ranges'];
    const folder = await resolveModel('someone/tiny', options());
    expect(hashOf('sha256', await readFile(join(folder.path, only)))).toBe(weightsHash());
  });

  it('too often is an error, and nothing half is taken for whole', async () => {
    hub.faults = ['broken-off', 'silent-end', 'broken-off'];
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('goes on from where it stopped');
    expect(await blobsLeft()).not.toContain(weightsHash());
    const offline = await failure(resolveModel('someone/tiny', options({ offline: true })));
    expect(offline.message).toContain('no weights');
    hub.requests = [];
    await resolveModel('someone/tiny', options());
    expect(ranges()).toHaveLength(1);
    expect(ranges()[0]).toMatch(/^bytes=[1-9]/u);
    expect((await blobsLeft()).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  it('is continued after the process that began it, but not beside one that still runs', async () => {
    const blobs = join(cacheDir, 'models--someone--tiny', 'blobs');
    const half = (modelFiles.get(only) ?? new Uint8Array()).subarray(0, 50_000);
    const host = hostname().replaceAll(/[^\w-]/gu, '_');
    const running = join(blobs, `${weightsHash()}.${host}.${process.ppid}.aaaa.incomplete`);
    await writeFile(running, half);
    await resolveModel('someone/tiny', options());
    expect(ranges()).toEqual([undefined]);
    expect((await stat(running)).size).toBe(50_000);

    await rm(join(blobs, weightsHash()));
    await rm(running);
    hub.requests = [];
    // No process has such a number.
    await writeFile(join(blobs, `${weightsHash()}.${host}.999999999.aaaa.incomplete`), half);
    await resolveModel('someone/tiny', options());
    expect(ranges()).toEqual(['bytes=50000-']);
  });

  it('with wrong bytes is begun again', async () => {
    hub.faults = ['wrong-bytes'];
    const folder = await resolveModel('someone/tiny', options());
    expect(hashOf('sha256', await readFile(join(folder.path, only)))).toBe(weightsHash());
    await rm(join(cacheDir, 'models--someone--tiny', 'blobs', weightsHash()));
    hub.faults = ['wrong-bytes', 'wrong-bytes', 'wrong-bytes'];
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('hash differs');
    expect(await blobsLeft()).not.toContain(weightsHash());
  });

  it('twice at once gives one whole file', async () => {
    const folders = await Promise.all([1, 2, 3].map(() => resolveModel('someone/tiny', options())));
    for (const folder of folders) expect(hashOf('sha256', await readFile(join(folder.path, only)))).toBe(weightsHash());
    expect((await blobsLeft()).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });
});

describe('offline', () => {
  it('uses the cache alone, and says so when the model is not there', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    expect((await failure(resolveModel('someone/tiny', options()))).message).toContain('HF_HUB_OFFLINE');
    await resolveModel('someone/tiny', options({ offline: false }));
    hub.requests = [];
    expect((await resolveModel('someone/tiny', options())).origin).toMatchObject({ commit });
    expect((await resolveModel('someone/tiny', options({ revision: commit }))).origin).toMatchObject({ commit });
    expect(hub.requests).toEqual([]);
    expect((await failure(resolveModel('someone/tiny', options({ revision: 'v2' })))).message).toContain('v2');
  });

  it('finds what another tool put into the cache', async () => {
    const repository = join(cacheDir, 'models--bert-tiny');
    await mkdir(join(repository, 'blobs'), { recursive: true });
    await mkdir(join(repository, 'refs', 'refs', 'pr'), { recursive: true });
    await mkdir(join(repository, 'snapshots', commit), { recursive: true });
    for (const [name, bytes] of modelFiles) {
      await writeFile(join(repository, 'blobs', name), bytes);
      await symlink(join('..', '..', 'blobs', name), join(repository, 'snapshots', commit, name));
    }
    await writeFile(join(repository, 'refs', 'refs', 'pr', '1'), commit);
    const folder = await resolveModel('bert-tiny', options({ offline: true, revision: 'refs/pr/1' }));
    expect(folder.weights).toHaveLength(1);
    const models = await listLocalModels({ cacheDir });
    expect(models.filter(({ source }) => source !== 'shipped')).toMatchObject([
      { name: 'bert-tiny', source: 'hub', commit, revisions: ['refs/pr/1'], family: 'bert' },
    ]);
  });
});

describe('the cache folder', () => {
  it.each<[Readonly<Record<string, string>>, string]>([
    [{ HF_HUB_CACHE: '/a', HF_HOME: '/b' }, '/a'],
    [{ HUGGINGFACE_HUB_CACHE: '/c', HF_HOME: '/b' }, '/c'],
    [{ HF_HOME: '/b', XDG_CACHE_HOME: '/d' }, '/b/hub'],
    [{ XDG_CACHE_HOME: '/d' }, '/d/huggingface/hub'],
    [{ HOME: '/e' }, '/e/.cache/huggingface/hub'],
    [{ HOME: '/e', HF_HOME: '~/f' }, '/e/f/hub'],
  ])('with %o', (variables, expected) => {
    for (const [name, value] of Object.entries(variables)) vi.stubEnv(name, value);
    // Windows' name for it.
    if (variables['HOME'] !== undefined) vi.stubEnv('USERPROFILE', variables['HOME']);
    expect(hubCacheFolder()).toBe(join(expected));
  });
});

describe('a local folder', () => {
  async function folderWith(...names: string[]): Promise<string> {
    const folder = await mkdtemp(join(scratch, 'folder-'));
    for (const name of names) await writeFile(join(folder, name), modelFiles.get(name) ?? '{}');
    return folder;
  }

  it('is taken as it is, and the hub is not asked', async () => {
    const path = await folderWith('config.json', 'model.safetensors', 'vocab.txt', 'tokenizer_config.json');
    const folder = await resolveModel(path, options());
    expect(folder).toMatchObject({
      name: path,
      path,
      origin: { kind: 'folder' },
      tokenizer: { kind: 'vocab.txt', config: join(path, 'tokenizer_config.json') },
    });
    expect(hub.requests).toEqual([]);
  });

  it.each<[string, string[], string]>([
    ['no config.json', ['model.safetensors', 'vocab.txt'], 'config.json'],
    ['no weights', ['config.json', 'vocab.txt'], 'no weights'],
    ['only weights of PyTorch', ['config.json', 'vocab.txt', 'pytorch_model.bin'], 'save_pretrained'],
    ['no tokenizer', ['config.json', 'model.safetensors'], 'no tokenizer'],
    ['half a tokenizer', ['config.json', 'model.safetensors', 'vocab.json'], 'merges.txt is missing'],
    ['an index without shards', ['config.json', 'vocab.txt', 'model.safetensors.index.json'], 'weight_map'],
  ])('with %s is refused', async (_, names, part) => {
    const error = await failure(resolveModel(await folderWith(...names), options()));
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toContain(part);
  });

  it('that lacks a shard is refused', async () => {
    const path = await folderWith('config.json', 'vocab.txt');
    await writeFile(
      join(path, 'model.safetensors.index.json'),
      '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}',
    );
    expect((await failure(resolveModel(path, options()))).message).toContain('model-00001-of-00002.safetensors');
  });

  it('that is not there, or is a file, is refused', async () => {
    const path = await folderWith('config.json');
    for (const wrong of ['./nowhere', '/no/where', '../x', 'a/b/c', join(path, 'config.json')])
      expect(await failure(resolveModel(wrong, options()))).toBeInstanceOf(FileError);
    expect(hub.requests).toEqual([]);
  });

  it('does without what is not required', async () => {
    const path = await folderWith('config.json');
    expect(await resolveModel(path, options({ require: ['config'] }))).toMatchObject({
      weights: [],
      tokenizer: undefined,
    });
  });

  it('is listed, itself or what it holds, with what is wrong with it', async () => {
    const parent = await mkdtemp(join(scratch, 'models-'));
    const good = await folderWith('config.json', 'model.safetensors', 'vocab.txt');
    await cp(good, join(parent, 'good'), { recursive: true });
    await cp(await folderWith('config.json', 'vocab.txt'), join(parent, 'bad'), { recursive: true });
    await mkdir(join(parent, 'other'));
    const all = await listLocalModels({ cacheDir, folders: [parent, good, join(scratch, 'none')] });
    const models = all.filter(({ source }) => source !== 'shipped');
    expect(models.map(({ path, problem, family }) => [path, problem === undefined, family])).toEqual([
      [join(parent, 'bad'), false, 'bert'],
      [join(parent, 'good'), true, 'bert'],
      [good, true, 'bert'],
    ]);
    expect(models[1]?.weightBytes).toBe((await lstat(join(good, 'model.safetensors'))).size);
  });
});
