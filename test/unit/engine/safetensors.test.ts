import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FileError, messageOf } from '../../../src/base/errors.ts';
import {
  openCheckpoint,
  readSafetensorsHeader,
  readTensors,
  writeSafetensors,
} from '../../../src/engine/safetensors.ts';
import type { Tensor, WritableTensor } from '../../../src/engine/safetensors.ts';
import { fileProblem } from '../../../src/engine/text-files.ts';

let folder: string;
let file: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
  file = join(folder, 'model.safetensors');
});

afterAll(() => rm(folder, { recursive: true }));

const float32 = (...values: number[]): Float32Array => Float32Array.from(values);

/** A file with this header and this many bytes of data. */
async function written(header: string | Uint8Array, dataBytes = 0, declared?: bigint): Promise<string> {
  const bytes = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const all = new Uint8Array(8 + bytes.length + dataBytes);
  new DataView(all.buffer).setBigUint64(0, declared ?? BigInt(bytes.length), true);
  all.set(bytes, 8);
  await writeFile(file, all);
  return file;
}

async function failure(promise: Promise<unknown>): Promise<FileError> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof FileError)) throw new Error('expected a FileError', { cause: thrown });
  return thrown;
}

const shapes = fc.array(fc.nat(3), { maxLength: 4 });
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

const tensors: fc.Arbitrary<Tensor> = shapes.chain((shape) => {
  const length = { minLength: sizeOf(shape), maxLength: sizeOf(shape) };
  return fc.oneof(
    fc.float32Array(length).map((data) => ({ dtype: 'F32' as const, shape, data })),
    fc.float64Array(length).map((data) => ({ dtype: 'F64' as const, shape, data })),
    fc
      .tuple(fc.constantFrom('F16' as const, 'BF16' as const), fc.uint16Array(length))
      .map(([dtype, data]) => ({ dtype, shape, data })),
    fc.bigInt64Array(length).map((data) => ({ dtype: 'I64' as const, shape, data })),
    fc.int32Array(length).map((data) => ({ dtype: 'I32' as const, shape, data })),
    fc
      .tuple(fc.constantFrom('U8' as const, 'BOOL' as const), fc.uint8Array({ ...length, max: 1 }))
      .map(([dtype, data]) => ({ dtype, shape, data })),
  );
});

const names = fc
  .oneof(
    fc.string({ maxLength: 12 }),
    fc.string({ unit: 'grapheme', maxLength: 6 }),
    fc.constantFrom('toString', 'layer.0.weight', '1'),
  )
  .filter((name) => name !== '__metadata__' && name !== '__proto__');
const checkpoints = fc
  .uniqueArray(fc.tuple(names, tensors), { selector: ([name]) => name, maxLength: 6 })
  .map((all) => new Map(all));
const metadata = fc.dictionary(fc.string(), fc.string(), { maxKeys: 3, noNullPrototype: true }).map((all) => {
  delete all['__proto__'];
  return all;
});

describe('round trip', () => {
  it('gives back every tensor, bit for bit, and the metadata', async () => {
    await fc.assert(
      fc.asyncProperty(checkpoints, metadata, async (checkpoint, notes) => {
        await writeSafetensors(file, checkpoint, notes);
        const read = await readTensors(file, undefined, { widen: false });
        expect([...read.keys()].toSorted()).toEqual([...checkpoint.keys()].toSorted());
        for (const [name, tensor] of checkpoint) expect(read.get(name)).toEqual(tensor);
        const header = await readSafetensorsHeader(file);
        expect(header.metadata).toEqual(notes);
        expect(header.dataOffset % 8).toBe(0);
        for (const { offset, dtype } of header.tensors.values())
          expect(offset % ({ F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2 }[dtype as string] ?? 1)).toBe(0);
      }),
      { numRuns: 100 },
    );
  });

  it('writes the same bytes whatever the order', async () => {
    await fc.assert(
      fc.asyncProperty(checkpoints, metadata, async (checkpoint, notes) => {
        await writeSafetensors(file, checkpoint, notes);
        const once = await readFile(file);
        await writeSafetensors(
          file,
          new Map([...checkpoint].reverse()),
          Object.fromEntries(Object.entries(notes).reverse()),
        );
        expect(await readFile(file)).toEqual(once);
      }),
      { numRuns: 50 },
    );
  });

  it('tells the type from the array where it can', async () => {
    const bare = new Map<string, WritableTensor>([
      ['a', { shape: [2], data: float32(1, 2) }],
      ['b', { shape: [1], data: BigInt64Array.of(3n) }],
    ]);
    await writeSafetensors(file, bare);
    expect([...(await readSafetensorsHeader(file)).tensors].map(([name, { dtype }]) => [name, dtype])).toEqual([
      ['b', 'I64'],
      ['a', 'F32'],
    ]);
    const half = new Map([['h', { shape: [1], data: Uint16Array.of(1) }]]);
    await expect(writeSafetensors(file, half)).rejects.toThrow('Uint16Array');
    const wrong = new Map([['w', { shape: [3], data: float32(1) }]]);
    await expect(writeSafetensors(file, wrong)).rejects.toThrow('shape');
  });
});

describe('16-bit floats', () => {
  /** The value of a float16 by its definition. */
  function half(bits: number): number {
    const sign = (bits & 0x8000) === 0 ? 1 : -1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  it('become float32 exactly, all 65536 of each kind', async () => {
    const data = Uint16Array.from({ length: 65536 }, (_, i) => i);
    await writeSafetensors(
      file,
      new Map([
        ['half', { dtype: 'F16', shape: [65536], data }],
        ['brain', { dtype: 'BF16', shape: [65536], data }],
      ]),
    );
    const read = await readTensors(file);
    expect(read.get('half')?.dtype).toBe('F32');
    expect(read.get('half')?.data).toEqual(Float32Array.from(data, half));
    const view = new DataView(new ArrayBuffer(4));
    const expected = Float32Array.from(data, (bits) => {
      view.setUint32(0, bits * 65536);
      return view.getFloat32(0);
    });
    expect(read.get('brain')?.data).toEqual(expected);
  });
});

describe('writing', () => {
  it('replaces a file as a whole and leaves nothing beside it', async () => {
    await writeSafetensors(file, new Map([['a', { shape: [1], data: float32(1) }]]));
    await writeSafetensors(file, new Map([['b', { shape: [1], data: float32(2) }]]));
    expect([...(await readTensors(file)).keys()]).toEqual(['b']);
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  it('says what is wrong where it cannot write, and leaves nothing there', async () => {
    const error = await failure(writeSafetensors(join(folder, 'nowhere', 'x.safetensors'), new Map()));
    expect(error.message).toContain('no such');
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  it.skipIf(!existsSync('/dev/full'))('calls a full disk by its name', async () => {
    // A device on which every write fails as it does on a full disk.
    const thrown: unknown = await writeFile('/dev/full', 'x').catch((error: unknown) => error);
    expect(messageOf(fileProblem(file, thrown))).toContain('no space left');
  });
});

describe('reading', () => {
  it('reads only what is asked for', async () => {
    await writeSafetensors(
      file,
      new Map([
        ['a', { shape: [2], data: float32(1, 2) }],
        ['b', { shape: [1], data: float32(3) }],
      ]),
    );
    expect(await readTensors(file, ['b'])).toEqual(new Map([['b', { dtype: 'F32', shape: [1], data: float32(3) }]]));
    expect((await failure(readTensors(file, ['c']))).message).toContain('"c"');
  });

  it('refuses types that have no array here', async () => {
    await written('{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}', 2);
    expect((await readSafetensorsHeader(file)).tensors.get('a')?.byteLength).toBe(2);
    expect((await failure(readTensors(file))).message).toContain('F8_E4M3');
  });

  it.each<[string, string, number, string]>([
    ['no JSON', 'x', 0, 'not JSON'],
    ['an array', '[]', 0, 'object'],
    ['a tensor that is no object', '{"a":1}', 0, '"a"'],
    ['an unknown type', '{"a":{"dtype":"F31","shape":[],"data_offsets":[0,4]}}', 4, 'F31'],
    [
      'a type called as a property of objects',
      '{"a":{"dtype":"toString","shape":[],"data_offsets":[0,4]}}',
      4,
      'toString',
    ],
    ['a negative size', '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4, 'shape'],
    ['half a size', '{"a":{"dtype":"F32","shape":[0.5],"data_offsets":[0,2]}}', 2, 'shape'],
    [
      'sizes that overflow',
      '{"a":{"dtype":"F32","shape":[9007199254740991,9007199254740991],"data_offsets":[0,4]}}',
      4,
      'bytes',
    ],
    ['a shape that is no list', '{"a":{"dtype":"F32","shape":{},"data_offsets":[0,4]}}', 4, 'shape'],
    ['an end before its beginning', '{"a":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}}', 4, 'offsets'],
    ['three offsets', '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}', 8, 'offsets'],
    ['no offsets', '{"a":{"dtype":"F32","shape":[1]}}', 4, 'offsets'],
    ['an end beyond the file', '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 4, 'truncated'],
    ['a size that does not fit its bytes', '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', 8, '12 bytes'],
    [
      'an overlap',
      '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[3],"data_offsets":[3,6]}}',
      6,
      'overlaps',
    ],
    [
      'a hole',
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}',
      5,
      'belong to no tensor',
    ],
    ['bytes after the last tensor', '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', 5, 'belong to no tensor'],
    [
      'a name twice',
      '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}',
      2,
      'twice',
    ],
    ['a field twice', '{"a":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}}', 2, 'twice'],
    ['metadata that is no object', '{"__metadata__":[]}', 0, '__metadata__'],
    ['metadata that is no text', '{"__metadata__":{"a":1}}', 0, '__metadata__'],
  ])('refuses %s', async (_, header, dataBytes, part) => {
    expect((await failure(readSafetensorsHeader(await written(header, dataBytes)))).message).toContain(part);
  });

  it('refuses files too short, headers too long, and bytes that are not UTF-8', async () => {
    await writeFile(file, 'short');
    expect((await failure(readSafetensorsHeader(file))).message).toContain('too short');
    expect((await failure(readSafetensorsHeader(await written('{}', 0, 3n)))).message).toContain('truncated');
    expect((await failure(readSafetensorsHeader(await written('{}', 0, 100_000_001n)))).message).toContain('header');
    expect((await failure(readSafetensorsHeader(await written('{}', 0, 2n ** 64n - 1n)))).message).toContain('header');
    expect((await failure(readSafetensorsHeader(await written(Uint8Array.of(0x7b, 0xff, 0x7d))))).message).toContain(
      'UTF-8',
    );
    expect((await failure(readSafetensorsHeader(join(folder, 'none')))).message).toContain('no such file');
    expect((await failure(readSafetensorsHeader(folder))).message).toContain('folder');
  });

  it('knows a Git LFS pointer', async () => {
    await writeFile(file, 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n');
    expect((await failure(readSafetensorsHeader(file))).message).toContain('Git LFS');
  });

  it('accepts an empty checkpoint and tensors without elements', async () => {
    expect((await readSafetensorsHeader(await written('{}'))).tensors.size).toBe(0);
    await written('{"a":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]}}');
    expect((await readTensors(file)).get('a')?.data).toHaveLength(0);
  });

  it('survives deep nesting, wherever it is', async () => {
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    const objects = `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`;
    const sound = '"dtype":"U8","shape":[2],"data_offsets":[0,2]';
    await failure(readSafetensorsHeader(await written(`{"a":${deep}}`)));
    await failure(readSafetensorsHeader(await written(`{"a":${objects}}`)));
    await failure(readSafetensorsHeader(await written(`{"a":{"dtype":"U8","shape":${deep},"data_offsets":[0,2]}}`, 2)));
    await failure(
      readSafetensorsHeader(await written(`{"a":{"dtype":${objects},"shape":[2],"data_offsets":[0,2]}}`, 2)),
    );
    await failure(readSafetensorsHeader(await written(`{"a":${objects},"a":{${sound}}}`, 2)));
    expect((await readSafetensorsHeader(await written(`{"a":{${sound},"more":${deep}}}`, 2))).tensors.size).toBe(1);
  });

  it('tells keys from values and one object from the other', async () => {
    const header =
      '{"__metadata__":{"x":"y","y":"x"},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"y":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}';
    expect((await readSafetensorsHeader(await written(header, 2))).tensors.size).toBe(2);
  });

  it('gives a FileError or a sound header whatever happens to the bytes, and never reads beyond the file', async () => {
    const changes = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        checkpoints,
        changes,
        fc.option(fc.nat(400), { nil: undefined }),
        async (checkpoint, edits, end) => {
          await writeSafetensors(file, checkpoint, { note: 'x' });
          const bytes = await readFile(file);
          for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
          await writeFile(file, bytes);
          if (end !== undefined && end < bytes.length) await truncate(file, end);
          try {
            const header = await readSafetensorsHeader(file);
            for (const { offset, byteLength } of header.tensors.values()) {
              expect(offset).toBeGreaterThanOrEqual(header.dataOffset);
              expect(offset + byteLength).toBeLessThanOrEqual(header.fileSize);
            }
            await readTensors(file);
          } catch (thrown) {
            if (!(thrown instanceof FileError)) throw thrown;
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('checkpoints', () => {
  async function sharded(map: unknown): Promise<string> {
    const place = await mkdtemp(join(folder, 'shards-'));
    await writeSafetensors(
      join(place, 'model-00001-of-00002.safetensors'),
      new Map([['a', { shape: [1], data: float32(1) }]]),
    );
    await writeSafetensors(
      join(place, 'model-00002-of-00002.safetensors'),
      new Map([['b', { shape: [2], data: float32(2, 3) }]]),
    );
    await writeFile(join(place, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
    return place;
  }

  it('are one file', async () => {
    const place = await mkdtemp(join(folder, 'whole-'));
    const whole = join(place, 'model.safetensors');
    await writeSafetensors(whole, new Map([['a', { shape: [1, 2], data: float32(1, 2) }]]));
    for (const path of [place, whole]) {
      const tensor = (await openCheckpoint(path)).get('a');
      expect(tensor).toMatchObject({ name: 'a', file: whole, dtype: 'F32', shape: [1, 2], byteLength: 8 });
    }
  });

  it('are shards and their index', async () => {
    const place = await sharded({ a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' });
    const tensors = await openCheckpoint(place);
    expect([...tensors.keys()]).toEqual(['a', 'b']);
    const b = tensors.get('b');
    expect((await readTensors(b?.file ?? '', ['b'])).get('b')?.data).toEqual(float32(2, 3));
  });

  it.each<[string, unknown]>([
    ['no map', undefined],
    ['a shard that is not there', { a: 'model-00003-of-00002.safetensors' }],
    ['a tensor that its shard lacks', { b: 'model-00001-of-00002.safetensors' }],
    ['a path out of the folder', { a: '../model.safetensors' }],
    ['a shard that is no name', { a: 1 }],
  ])('with %s are refused', async (_, map) => {
    await failure(openCheckpoint(await sharded(map)));
  });

  it('that are missing are refused', async () => {
    await failure(openCheckpoint(await mkdtemp(join(folder, 'empty-'))));
    await failure(openCheckpoint(join(folder, 'none')));
  });
});
