// Usage: npm run package [-- TARGET...] [--out FOLDER]
// One packaged extension (VSIX) for each platform, holding what the extension needs there and nothing else: what is not
// listed here does not get in.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));

const packages = join(root, 'dist', 'packages');

/** The platforms as VS Code names them, and the folders of onnxruntime-node's libraries for them. */
export const targets: Readonly<Record<string, string>> = {
  'linux-x64': 'linux/x64',
  'linux-arm64': 'linux/arm64',
  'win32-x64': 'win32/x64',
  'darwin-arm64': 'darwin/arm64',
};

/** The target of this machine, if it is one. */
export function ownTarget(): string | undefined {
  const name = `${process.platform}-${process.arch}`;
  return Object.hasOwn(targets, name) ? name : undefined;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly repository?: unknown;
  readonly [key: string]: unknown;
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;

/** What of the manifest is for developers only. */
const development = [
  'private',
  'type',
  'bin',
  'scripts',
  'dependencies',
  'devDependencies',
  'optionalDependencies',
  'allowScripts',
];

const texts = ['CHANGELOG.md', 'LICENSE', 'package.nls.json'] as const;
const builtEndings = new Set([
  '.txt',
  '.js',
  '.cjs',
  '.mjs',
  '.css',
  '.json',
  '.html',
  '.ttf',
  '.woff2',
  '.svg',
  '.png',
]);

function filesBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile());
}

function copy(file: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(file, to, { dereference: true });
}

/** The runtime, where a program of dist/ looks for it first. */
function copyRuntime(stage: string, libraries: string): void {
  const take = (name: string, wanted: (path: string) => boolean): void => {
    const folder = join(root, 'node_modules', name);
    for (const file of filesBelow(folder)) {
      const path = relative(folder, file).replaceAll('\\', '/');
      if (wanted(path)) copy(file, join(stage, 'dist', 'node_modules', name, path));
    }
  };
  take('onnxruntime-common', (path) => path === 'package.json' || /^dist\/cjs\/.*(?:\.js|package\.json)$/.test(path));
  take('onnxruntime-node', (path) => {
    if (path === 'package.json' || /^dist\/.*\.js$/.test(path)) return true;
    if (!path.startsWith('bin/') || !path.includes(`/${libraries}/`)) return false;
    // macOS has the same library under two names, and loads the shorter; CUDA's may have been added by hand.
    return !/libonnxruntime\.\d+\.\d+\.\d+\.dylib$|providers_(?:cuda|tensorrt)/.test(path);
  });
}

/** The README with its pictures and without links into the repository, for a package whose repository has no address. */
function selfContained(markdown: string): string {
  return markdown.replaceAll(
    /(!?)\[([^\][]*)\]\(([^)\s]+)\)/g,
    (all: string, image: string, title: string, link: string) => {
      if (/^[a-z]+:|^#/.test(link)) return all;
      if (image === '') return title;
      const file = join(root, link);
      return `![${title}](data:image/${extname(file).slice(1)};base64,${readFileSync(file).toString('base64')})`;
    },
  );
}

/**
 * Packages what `npm run build` left in dist/.
 * @param out the folder to write to
 * @returns the package
 */
export async function packageExtension(target: string, out: string): Promise<string> {
  const libraries = targets[target];
  if (libraries === undefined)
    throw new Error(`no such target: ${target}; there are ${Object.keys(targets).join(', ')}`);
  if (!existsSync(join(root, 'dist', 'trainer.js'))) throw new Error('dist/ is missing: npm run build');
  const stage = join(root, '.cache', 'package', target);
  rmSync(stage, { recursive: true, force: true });
  mkdirSync(stage, { recursive: true });
  const kept = Object.fromEntries(Object.entries(manifest).filter(([key]) => !development.includes(key)));
  // Node reads the nearest manifest to know what a .js file is.
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify({ ...kept, type: manifest['type'] }, undefined, 2)}\n`);
  for (const name of texts) if (existsSync(join(root, name))) copy(join(root, name), join(stage, name));
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  writeFileSync(join(stage, 'README.md'), manifest.repository === undefined ? selfContained(readme) : readme);
  for (const folder of ['dist', 'media', 'l10n'])
    for (const file of filesBelow(join(root, folder)))
      if (builtEndings.has(extname(file))) copy(file, join(stage, relative(root, file)));
  // The data of the sample tasks and the encoder for them, with where they come from.
  for (const folder of ['samples', 'models'])
    for (const file of filesBelow(join(root, folder))) copy(file, join(stage, relative(root, file)));
  copyRuntime(stage, libraries);
  writeFileSync(
    join(stage, '.vscodeignore'),
    '# Everything here belongs in the package: scripts/package.ts chose it.\n',
  );

  // Loading it takes most of a second, which `npm start` should not.
  const { createVSIX } = await import('@vscode/vsce');
  mkdirSync(out, { recursive: true });
  const file = join(out, `${manifest.name}-${manifest.version}-${target}.vsix`);
  await createVSIX({
    cwd: stage,
    target,
    packagePath: file,
    dependencies: false,
    rewriteRelativeLinks: manifest.repository !== undefined,
    allowMissingRepository: true,
  });
  rmSync(stage, { recursive: true, force: true });
  return file;
}

/** Builds, and packages for one target. @returns the package */
export async function packageForThisMachine(target: string): Promise<string> {
  buildAll();
  return packageExtension(target, packages);
}

function buildAll(): void {
  const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: ['ignore', 2, 2] });
  if (built.status !== 0) throw new Error('the build failed; its messages stand above');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: 'string' } } });
  buildAll();
  for (const target of positionals.length > 0 ? positionals : Object.keys(targets)) {
    const file = await packageExtension(target, values.out ?? packages);
    process.stdout.write(`${file} ${(statSync(file).size / 1e6).toFixed(1)} MB\n`);
  }
}
