import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Fingerprint } from './environment.ts';

/** Hashes files by name and content, in the order given. */
export async function fingerprintFiles(source: string, files: readonly string[]): Promise<Fingerprint> {
  const hash = createHash('sha256');
  let bytes = 0;
  for (const file of files) {
    const { size } = await stat(file);
    bytes += size;
    hash.update(`${basename(file)}\n${size}\n`);
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  }
  return { source, digest: `sha256:${hash.digest('hex')}`, bytes };
}
