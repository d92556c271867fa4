import path from 'node:path';

/**
 * Where a path lies below a folder, with forward slashes as configurations are written; '' for the folder itself.
 * @param paths the platform's rules: on Windows names have no case, and another drive or share is never below
 * @returns nothing where it lies elsewhere
 */
export function pathBelow(
  folder: string,
  file: string,
  paths: Pick<typeof path, 'relative' | 'isAbsolute' | 'sep'> = path,
): string | undefined {
  const below = paths.relative(folder, file);
  if (below === '..' || below.startsWith(`..${paths.sep}`) || paths.isAbsolute(below)) return undefined;
  return below.replaceAll(paths.sep, '/');
}
