import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FileError } from '../../../src/base/errors.ts';
import { readCheckpoint, writeCheckpoint } from '../../../src/engine/checkpoint-file.ts';
import { readSafetensorsHeader, readTensors, writeSafetensors } from '../../../src/engine/safetensors.ts';
import { atStart, type TrainerState } from '../../../src/engine/trainer-state.ts';

const folder = mkdtempSync(join(tmpdir(), 'checkpoint-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = join(folder, 'last.safetensors');

const state: TrainerState = {
  progress: { ...atStart, step: 7, trainSeconds: 1.5 },
  values: new Map([
    ['b', Float32Array.of(1, -2)],
    ['a', Float32Array.of(0.5)],
  ]),
  optimiserStep: 7,
  optimiser: new Map([['m/a', Float32Array.of(3)]]),
};

async function written(): Promise<Buffer> {
  await writeCheckpoint(file, state, new Map(), { segment: 0, offset: 9 });
  return readFileSync(file);
}

describe('a checkpoint', () => {
  it('is read as it was written', async () => {
    await written();
    expect(await readCheckpoint(file)).toEqual({ ...state, file });
  });

  it('of which any byte was changed, or that was cut anywhere, is never taken for what was written', async () => {
    const bytes = await written();
    for (let at = 0; at < bytes.length; at++) {
      writeFileSync(file, Buffer.from(bytes).fill((bytes[at] ?? 0) ^ 1, at, at + 1));
      const read = await readCheckpoint(file).catch((error: unknown) => error);
      // Layout, and where the journal was, may be another.
      if (read instanceof FileError) continue;
      expect({ at, read }).toEqual({ at, read: { ...state, file } });
    }
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(file, bytes.subarray(0, length));
      await expect(readCheckpoint(file)).rejects.toThrow(FileError);
    }
  });

  it('of an earlier version, without a checksum, is read', async () => {
    await written();
    const { metadata } = await readSafetensorsHeader(file);
    const { checksum, ...earlier } = metadata;
    expect(checksum).toMatch(/^crc32:[0-9a-f]{8}$/);
    await writeSafetensors(file, await readTensors(file), earlier);
    expect(await readCheckpoint(file)).toEqual({ ...state, file });
  });
});
