import { existsSync, readFileSync } from 'node:fs';

/** Places of the project's own files, seen from a bundle in dist/ and from a source file in src/runs/; in a package, the runtime's lie in dist/. */
const roots = ['./', '../', '../../'];

function versionIn(path: string): string | undefined {
  for (const root of roots) {
    const file = new URL(`${root}${path}`, import.meta.url);
    if (!existsSync(file)) continue;
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
  }
  return undefined;
}

/** The version in package.json. */
export function programVersion(): string {
  return versionIn('package.json') ?? 'unknown';
}

/** The versions of installed packages that compute, for the record of a run. */
export function packageVersions(names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const version = versionIn(`node_modules/${name}/package.json`);
      return version === undefined ? [] : [[name, version]];
    }),
  );
}
