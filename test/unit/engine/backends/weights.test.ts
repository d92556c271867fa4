import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FileError } from '../../../../src/base/errors.ts';
import type { WeightLocation } from '../../../../src/engine/backends/backend.ts';
import { compileGraph } from '../../../../src/engine/backends/onnx/onnx-backend.ts';
import { commonFolder, type FindFolder } from '../../../../src/engine/backends/onnx/weights.ts';
import { gather, gemm, input, weight } from '../../../../src/engine/graph/operations.ts';
import { cpu, floats, noise, tensor } from './agreement.ts';

/** 16-bit patterns with the numbers they stand for, subnormal and extreme ones among them. */
const halves = [
  [0x3c00, 1],
  [0xc000, -2],
  [0x3555, 0.333251953125],
  [0x7bff, 65504],
  [0x0001, 2 ** -24],
  [0x8000, -0],
] as const;
const brains = [
  [0x3f80, 1],
  [0xc000, -2],
  [0x3eab, 0.333984375],
  [0x7f7f, 3.3895313892515355e38],
  [0x0080, 2 ** -126],
  [0x8000, -0],
] as const;

let folder: string;
let names = { direct: '', linked: '' };
let locations: (file: string) => ReadonlyMap<string, WeightLocation>;

const words = noise(6, 3);

/** A safetensors file whose data begins at an odd address, as a 16-bit tensor of one element leaves it for those after. */
function safetensors(): { bytes: Uint8Array; start: number } {
  const header = JSON.stringify({
    words: { dtype: 'F32', shape: [3, 2], data_offsets: [2, 26] },
    half: { dtype: 'F16', shape: [6, 1], data_offsets: [26, 38] },
    brain: { dtype: 'BF16', shape: [2, 3], data_offsets: [38, 50] },
    one: { dtype: 'F16', shape: [1], data_offsets: [0, 2] },
  });
  const start = 8 + header.length;
  const bytes = new Uint8Array(start + 50);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(header.length), true);
  bytes.set(new TextEncoder().encode(header), 8);
  words.forEach((number, i) => view.setFloat32(start + 2 + 4 * i, number, true));
  halves.forEach(([bits], i) => view.setUint16(start + 26 + 2 * i, bits, true));
  brains.forEach(([bits], i) => view.setUint16(start + 38 + 2 * i, bits, true));
  return { bytes, start };
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'peft-lab-weights-'));
  // As in a hub cache: the snapshot holds links into a folder of blobs.
  const [blobs, snapshot] = [path.join(folder, 'blöbs'), path.join(folder, 'snapshots', 'main one')];
  await mkdir(blobs);
  await mkdir(snapshot, { recursive: true });
  const { bytes, start } = safetensors();
  names = { direct: path.join(blobs, '0a1b2c'), linked: path.join(snapshot, 'model.safetensors') };
  await writeFile(names.direct, bytes);
  await symlink(path.relative(snapshot, names.direct), names.linked);
  locations = (file) =>
    new Map<string, WeightLocation>([
      ['words', { kind: 'file', file, dtype: 'F32', shape: [3, 2], offset: start + 2, byteLength: 24 }],
      ['half', { kind: 'file', file, dtype: 'F16', shape: [6, 1], offset: start + 26, byteLength: 12 }],
      ['brain', { kind: 'file', file, dtype: 'BF16', shape: [2, 3], offset: start + 38, byteLength: 12 }],
    ]);
});

afterAll(() => rm(folder, { recursive: true }));

const wanted = { words: weight('words', [3, 2]), half: weight('half', [6, 1]), brain: weight('brain', [2, 3]) };

async function listAll(): Promise<readonly string[]> {
  return (await readdir(folder, { recursive: true })).sort();
}

const ways: Readonly<Record<string, FindFolder>> = { 'from the file': commonFolder, 'as bytes': () => undefined };

describe.each(Object.entries(ways))('frozen weights read %s', (_, findFolder) => {
  test.each(['direct', 'linked'] as const)('in each dtype, by a %s path, leaving no file behind', async (kind) => {
    const before = await listAll();
    const executable = await compileGraph(wanted, locations(names[kind]), cpu, findFolder);
    const { words: f32, half, brain } = await executable.run({});
    await executable.dispose();
    expect(f32).toEqual(floats([3, 2], words));
    expect(half).toEqual(
      floats(
        [6, 1],
        halves.map(([, number]) => number),
      ),
    );
    expect(brain).toEqual(
      floats(
        [2, 3],
        brains.map(([, number]) => number),
      ),
    );
    expect(await listAll()).toEqual(before);
  });

  test('from two folders, together with weights made in memory', async () => {
    const elsewhere = path.join(folder, 'other');
    await mkdir(elsewhere, { recursive: true });
    const extra = path.join(elsewhere, 'extra.bin');
    await writeFile(extra, new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer));
    const source = new Map(locations(names.linked));
    source.set('extra', { kind: 'file', file: extra, dtype: 'F32', shape: [2, 2], offset: 0, byteLength: 16 });
    source.set('made', { kind: 'data', shape: [2, 2], data: Float32Array.of(0, 0, 1, 0, 0, 1).subarray(2) });
    const rows = gather(weight('words', [3, 2]), input('ids', 'int32', [2]));
    const product = gemm(gemm(rows, weight('extra', [2, 2]), { transposeB: true }), weight('made', [2, 2]));
    const executable = await compileGraph({ product }, source, cpu, findFolder);
    const result = await executable.run({ ids: tensor('int32', [2], [2, 0]) });
    await executable.dispose();
    const row = (at: number): number[] => {
      const [a = 0, b = 0] = words.slice(2 * at);
      return [a + 2 * b, 3 * a + 4 * b];
    };
    const wantedProduct = [...row(2), ...row(0)];
    expect(result['product']?.shape).toEqual([2, 2]);
    expect(Array.from(result['product']?.data ?? [], Number)).toEqual(
      wantedProduct.map((number): unknown => expect.closeTo(number, 5)),
    );
  });

  test('a file that is missing or too short is named', async () => {
    const missing = path.join(folder, 'nowhere.safetensors');
    await expect(compileGraph(wanted, locations(missing), cpu, findFolder)).rejects.toThrow(FileError);
    const short = path.join(folder, 'short.safetensors');
    await writeFile(short, safetensors().bytes.subarray(0, -1));
    const compiled = compileGraph(wanted, locations(short), cpu, findFolder);
    await expect(compiled).rejects.toThrow(FileError);
    await expect(compiled).rejects.toThrow(short);
    await rm(short);
  });
});

test('a weight that is not given, or has another shape, is named', async () => {
  await expect(compileGraph({ y: weight('lost', [2]) }, new Map(), cpu)).rejects.toThrow('lost');
  await expect(compileGraph({ y: weight('words', [2, 3]) }, locations(names.direct), cpu)).rejects.toThrow(
    'weight words has shape [3, 2], the graph wants [2, 3]',
  );
});

test('the common folder is the deepest that holds all files', () => {
  const at = (...parts: string[]): string => path.join(folder, ...parts);
  expect(commonFolder([])).toBeUndefined();
  expect(commonFolder([at('a', 'x')])).toBe(at('a'));
  expect(commonFolder([at('a', 'b', 'x'), at('a', 'b2', 'y')])).toBe(at('a'));
  expect(commonFolder([at('a', 'x'), at('a', '..b', 'y')])).toBe(at('a'));
  expect(commonFolder(['/x/a', '/y/b'])).toBe('/');
});
