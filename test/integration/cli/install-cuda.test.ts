import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { makeBench, type Bench } from '../../support/cli.ts';
import { until } from '../../support/until.ts';
import { serveNuget, zipOf, type NugetFeed } from '../../support/nuget-feed.ts';

const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
const name = 'microsoft.ml.onnxruntime.gpu.linux';
const probe = join(import.meta.dirname, '..', '..', '..', 'src', 'engine', 'device-probe.ts');
const folderIn = (data: string): string => join(data, 'runtimes', `onnxruntime-node-${version}-cuda12`);

/** The package as its maker packs it, with something else in place of hundreds of megabytes. */
const libraries = ['cuda', 'shared', 'tensorrt'].map((provider) => `libonnxruntime_providers_${provider}.so`);
const packed = Object.fromEntries([
  ['_rels/.rels', Buffer.from('<Relationships/>')],
  ...libraries.map(
    (library) => [`runtimes/linux-x64/native/${library}`, Buffer.from(`no library: ${library}`)] as const,
  ),
  ['runtimes/linux-x64/native/libonnxruntime.so', Buffer.from('not wanted')],
]);

describe.skipIf(process.platform !== 'linux' || process.arch !== 'x64')('doctor --install cuda', () => {
  let bench: Bench;
  let data: string;
  let feed: NugetFeed | undefined;
  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), 'peft-data-'));
    vi.stubEnv('PEFT_LAB_DATA', data);
    bench = await makeBench();
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    feed?.close();
    bench.remove();
    rmSync(data, { recursive: true, force: true });
  });

  test('brings the libraries beside a copy of the runtime, which is used from then on', async () => {
    feed = await serveNuget(name, version, zipOf(packed));
    const installed = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
    expect([installed.code, installed.err]).toEqual([0, '']);
    expect(installed.out).toContain(folderIn(data));
    const native = join(folderIn(data), 'node_modules/onnxruntime-node/bin/napi-v6/linux/x64');
    for (const library of libraries) expect(readFileSync(join(native, library), 'utf8')).toBe(`no library: ${library}`);
    expect(readdirSync(native)).toEqual(expect.arrayContaining(['libonnxruntime.so.1', 'onnxruntime_binding.node']));
    expect(readdirSync(join(data, 'runtimes'))).toHaveLength(1);

    const { checks } = JSON.parse((await bench.run('doctor', '--json')).out) as {
      checks: readonly { name: string; level: string; message: string }[];
    };
    const of = (wanted: string) => checks.find(({ name }) => name === wanted);
    expect(of('onnxruntime')?.message).toContain('cuda');
    expect(of('computation')?.level).toBe('ok');

    // What is no library does not start, and the run says what CUDA needs.
    const run = await bench.run('run', bench.configure('a'), '--set', 'device=cuda');
    expect(run.code).not.toBe(0);
    expect(run.err).toContain('the execution provider cuda could not take the model');
    expect(run.err).toContain('cuDNN 9');

    feed.close();
    const again = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index, '--json');
    expect(JSON.parse(again.out)).toEqual({ folder: folderIn(data), already: true });
  });

  test('a library that CUDA lacks is named, and a folder that is said to hold it and is not there', async () => {
    // A library as the linker makes them, which needs one that is nowhere.
    const native = 'bin/napi-v6/linux/x64/onnxruntime_binding.node';
    const needy = readFileSync(createRequire(import.meta.url).resolve(`onnxruntime-node/${native}`));
    const [own, absent] = [Buffer.from('libonnxruntime.so.1\0'), Buffer.from('libcublasLt.so.12\0\0\0')];
    for (let at = needy.indexOf(own); at >= 0; at = needy.indexOf(own)) absent.copy(needy, at);
    const cuda = 'runtimes/linux-x64/native/libonnxruntime_providers_cuda.so';
    feed = await serveNuget(name, version, zipOf({ ...packed, [cuda]: needy }));
    expect((await bench.run('doctor', '--install', 'cuda', '--feed', feed.index)).code).toBe(0);

    const file = bench.configure('a');
    const run = await bench.run('run', file, '--set', 'device=cuda');
    expect(run.code).toBe(2);
    expect(run.err).toContain('could not take the model: libcublasLt.so.12: cannot open shared object file');
    expect(run.err).toContain('peft.libraryFolders');
    expect(run.err).not.toContain('folders that are not there');

    vi.stubEnv('LD_LIBRARY_PATH', [bench.folder, join(bench.folder, 'lib65')].join(':'));
    const again = await bench.run('run', file, '--set', 'device=cuda');
    expect(again.err).toContain(`LD_LIBRARY_PATH names folders that are not there: ${join(bench.folder, 'lib65')}.`);
    const { stdout } = spawnSync(process.execPath, [probe, 'cuda', '1'], { encoding: 'utf8' });
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'fails',
      reason: expect.stringMatching(/libcublasLt\.so\.12: cannot open/) as string,
    });
  });

  test('leaves nothing behind where the checksum differs, a library is missing, or the feed has no such package', async () => {
    const content = zipOf(packed);
    feed = await serveNuget(name, version, content, { hash: 'AAAA' });
    const wrong = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
    expect([wrong.code, wrong.err.includes('its SHA-512 differs')]).toEqual([2, true]);
    expect(readdirSync(join(data, 'runtimes'))).toEqual([]);
    feed.close();

    const { 'runtimes/linux-x64/native/libonnxruntime_providers_cuda.so': _, ...fewer } = packed;
    feed = await serveNuget(name, version, zipOf(fewer));
    const incomplete = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
    expect([incomplete.code, incomplete.err.includes('holds no')]).toEqual([2, true]);
    expect(readdirSync(join(data, 'runtimes'))).toEqual([]);
    feed.close();

    feed = await serveNuget(name, '0.0.1', content);
    const absent = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
    expect([absent.code, absent.err.includes('answers with 404')]).toEqual([2, true]);
    feed.close();
    const closed = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
    expect([closed.code, closed.err.includes('cannot be reached')]).toEqual([2, true]);
    expect(existsSync(folderIn(data))).toBe(false);
  });

  test('asks no feed that has no address, and none where nothing is to be installed', async () => {
    for (const wrong of ['nuget', 'file:///srv/feed/index.json', '']) {
      const { code, err } = await bench.run('doctor', '--install', 'cuda', '--feed', wrong);
      expect([code, err]).toEqual([
        2,
        expect.stringContaining(`the NuGet feed "${wrong}" is no http or https address`),
      ]);
    }
    const { code, out, err } = await bench.run('doctor', '--feed', 'https://example.invalid/index.json');
    expect([code, out, err]).toEqual([2, '', expect.stringContaining('Add --install cuda')]);
    expect(existsSync(join(data, 'runtimes'))).toBe(false);
  });

  test('says so where what the feed vouches for is no archive, without a trace of the program', async () => {
    const whole = zipOf(packed);
    for (const content of [Buffer.from('<html>Please log in</html>'), whole.subarray(0, whole.length >> 1)]) {
      feed = await serveNuget(name, version, content);
      const { code, err } = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
      expect([code, err]).toEqual([2, expect.stringMatching(/\.nupkg gave is no package that can be unpacked: /)]);
      expect(err).not.toMatch(/^ +at /m);
      expect(readdirSync(join(data, 'runtimes'))).toEqual([]);
      feed.close();
    }
  });

  test('leaves alone what another installation has put there meanwhile, for runs may use it', async () => {
    const sign = join(folderIn(data), 'complete.json');
    feed = await serveNuget(name, version, zipOf(packed), {
      meanwhile: () => {
        mkdirSync(folderIn(data));
        writeFileSync(sign, '{"of":"the other"}');
      },
    });
    const { code, out } = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index, '--json');
    expect([code, JSON.parse(out)]).toEqual([0, { folder: folderIn(data), already: true }]);
    expect(readFileSync(sign, 'utf8')).toBe('{"of":"the other"}');
    expect(readdirSync(join(data, 'runtimes'))).toHaveLength(1);
  });

  test('says so where the connection breaks off or nothing can be written, and leaves nothing behind', async () => {
    const runtimes = join(data, 'runtimes');
    feed = await serveNuget(name, version, zipOf(packed), { breaksOff: true });
    const broken = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
    expect([broken.code, broken.err]).toEqual([
      2,
      expect.stringMatching(/broke off after [\d,]+ bytes.*\n {2}Try again/),
    ]);
    expect(readdirSync(runtimes)).toEqual([]);
    feed.close();

    rmSync(runtimes, { recursive: true });
    writeFileSync(runtimes, '');
    feed = await serveNuget(name, version, zipOf(packed));
    const refused = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index);
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining(`${runtimes} cannot be written`)]);
    expect(refused.err).toContain('PEFT_LAB_DATA');
  });

  test('clears away what one that was killed left behind, and leaves one that is under way', async () => {
    const part = (end: string): string => `${folderIn(data)}.part-${end}`;
    for (const end of ['old', 'new']) mkdirSync(part(end), { recursive: true });
    const daysAgo = new Date(Date.now() - 2 * 86_400_000);
    utimesSync(part('old'), daysAgo, daysAgo);
    feed = await serveNuget(name, version, zipOf(packed));
    expect((await bench.run('doctor', '--install', 'cuda', '--feed', feed.index)).code).toBe(0);
    expect([existsSync(part('old')), existsSync(part('new'))]).toEqual([false, true]);
  });

  test('leaves nothing behind when it is ended in the midst of the download', async () => {
    feed = await serveNuget(name, version, zipOf(packed), { stalls: true });
    const { child, ended } = bench.start('doctor', '--install', 'cuda', '--feed', feed.index);
    const begun = (): boolean =>
      existsSync(join(data, 'runtimes')) &&
      readdirSync(join(data, 'runtimes'), { recursive: true, encoding: 'utf8' }).some((file) =>
        file.endsWith('package.nupkg'),
      );
    await until('the download', begun);
    child.kill('SIGTERM');
    const { code, err } = await ended;
    expect([code, err]).toEqual([2, expect.stringContaining('the download was interrupted')]);
    expect(readdirSync(join(data, 'runtimes'))).toEqual([]);
    feed.close();
    feed = await serveNuget(name, version, zipOf(packed));
    const again = await bench.run('doctor', '--install', 'cuda', '--feed', feed.index, '--json');
    expect(JSON.parse(again.out)).toEqual({ folder: folderIn(data), already: false });
  });
});
