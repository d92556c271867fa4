import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { z } from 'zod';

const manifest = z.object({ version: z.string() });

/** The versions of what our side runs on. */
export async function ownVersions(): Promise<Readonly<Record<string, string>>> {
  const resolve = createRequire(import.meta.url).resolve;
  const read = async (file: string): Promise<string> =>
    manifest.parse(JSON.parse(await readFile(file, 'utf8'))).version;
  return {
    node: process.versions.node,
    'peft-lab': await read(new URL('../../package.json', import.meta.url).pathname),
    'onnxruntime-node': await read(resolve('onnxruntime-node/package.json')),
  };
}
