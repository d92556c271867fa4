// Plain JavaScript for Node 20 and later, without dependencies.
import { existsSync, readdirSync, statSync } from 'node:fs';

/** The bundle of the command line. */
export const built = new URL('../dist/cli.js', import.meta.url);

const source = new URL('../src/', import.meta.url);

/**
 * Whether there is a bundle and, in a checkout, no source file is newer: an edit must never seem to do nothing.
 *
 * @returns {boolean}
 */
export function isBuilt() {
  if (!existsSync(built)) return false;
  if (!existsSync(source)) return true;
  const { mtimeMs } = statSync(built);
  return readdirSync(source, { recursive: true, encoding: 'utf8' }).every(
    (file) => !file.endsWith('.ts') || statSync(new URL(file.replaceAll('\\', '/'), source)).mtimeMs <= mtimeMs,
  );
}
