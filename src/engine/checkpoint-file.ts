import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { FileError, messageOf } from '../base/errors.ts';
import { readSafetensorsHeader, readTensors, writeSafetensors } from './safetensors.ts';
import type { TrainerState } from './trainer-state.ts';

const metrics = z.record(z.string(), z.number());

const progressSchema = z.object({
  step: z.int().nonnegative(),
  epoch: z.int().nonnegative(),
  batch: z.int().nonnegative(),
  best: z.object({ step: z.int().nonnegative(), score: z.number(), metrics }).optional(),
  evaluationsWithoutGain: z.int().nonnegative(),
  lastMetrics: metrics.optional(),
  trainSeconds: z.number().nonnegative(),
  clippingNorm: z.number().positive().exactOptional(),
});

const metadataSchema = z.object({
  format: z.literal('peft-lab-checkpoint-1'),
  progress: z.string(),
  optimiserStep: z.coerce.number(),
  /** How far the journal was when it was written, for a reader who compares the two. */
  journal: z.string(),
  /** See {@link checksumOf}; earlier versions wrote none. */
  checksum: z.string().exactOptional(),
});

/** The place in the journal when a checkpoint was written. */
export interface JournalPosition {
  readonly segment: number;
  /** Bytes of the journal that were written. */
  readonly offset: number;
}

/**
 * CRC-32 over all that a training continues from: a number that changed on the disk would otherwise go on as a weight, and in a private
 * training take the noise of a sum that it changes.
 */
function checksumOf({ progress, optimiserStep }: SavedPlace, tensors: ReadonlyMap<string, Float32Array>): string {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  const sum = sorted.reduce(
    (before, [name, { buffer, byteOffset, byteLength }]) =>
      crc32(new Uint8Array(buffer, byteOffset, byteLength), crc32(name, before)),
    crc32(`${optimiserStep} ${progress}`),
  );
  return `crc32:${sum.toString(16).padStart(8, '0')}`;
}

/** Where a training was, as the header has it. */
interface SavedPlace {
  readonly progress: string;
  readonly optimiserStep: number;
}

const VALUE = 'value/';
const OPTIMISER = 'optimiser/';

/**
 * Saves a state as one safetensors file, written beside, synced and renamed: a crash leaves the old file or the new one, never a
 * part. Tensors `value/<name>` and `optimiser/<moment>/<name>`; the rest is in the header's metadata.
 */
export async function writeCheckpoint(
  file: string,
  state: TrainerState,
  shapes: ReadonlyMap<string, readonly number[]>,
  journal: JournalPosition,
): Promise<void> {
  const { optimiserStep } = state;
  const progress = JSON.stringify(state.progress);
  const tensors = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();
  for (const [name, data] of state.values)
    tensors.set(VALUE + name, { shape: shapes.get(name) ?? [data.length], data });
  for (const [name, data] of state.optimiser) {
    if (data instanceof Float32Array) tensors.set(OPTIMISER + name, { shape: [data.length], data });
  }
  const numbers = new Map([...tensors].map(([name, { data }]) => [name, data]));
  await writeSafetensors(file, tensors, {
    format: 'peft-lab-checkpoint-1',
    progress,
    optimiserStep: String(optimiserStep),
    journal: JSON.stringify(journal),
    checksum: checksumOf({ progress, optimiserStep }, numbers),
  });
}

/** The step that a checkpoint was written after, from its header. @throws FileError when the file is damaged or of another kind */
export async function readCheckpointStep(file: string): Promise<number> {
  const { metadata } = await readSafetensorsHeader(file);
  return parseProgress(file, metadataOf(file, metadata).progress).step;
}

function metadataOf(file: string, metadata: unknown): z.output<typeof metadataSchema> {
  const parsed = metadataSchema.safeParse(metadata);
  if (!parsed.success) throw new FileError(file, undefined, 'is no checkpoint of PEFT Lab, or of another version');
  return parsed.data;
}

/** Reads what writeCheckpoint wrote. @throws FileError when the file is damaged or of another kind */
export async function readCheckpoint(file: string): Promise<TrainerState> {
  const header = await readSafetensorsHeader(file);
  const metadata = metadataOf(file, header.metadata);
  const progress = parseProgress(file, metadata.progress);
  const numbers = new Map<string, Float32Array>();
  for (const [name, { data }] of await readTensors(file)) {
    if (!(data instanceof Float32Array)) throw new FileError(file, undefined, `${name} is not float32`);
    numbers.set(name, data);
  }
  if (metadata.checksum !== undefined && metadata.checksum !== checksumOf(metadata, numbers))
    throw new FileError(file, undefined, 'is damaged: its numbers are not those that were written');
  const values = new Map<string, Float32Array>();
  const optimiser = new Map<string, Float32Array>();
  for (const [name, data] of numbers) {
    if (name.startsWith(VALUE)) values.set(name.slice(VALUE.length), data);
    else if (name.startsWith(OPTIMISER)) optimiser.set(name.slice(OPTIMISER.length), data);
  }
  return { progress, values, optimiserStep: metadata.optimiserStep, optimiser, file };
}

function firstIssue({ issues }: z.ZodError): string {
  const [issue] = issues;
  return issue === undefined ? 'it is malformed' : `${issue.path.join('.')}: ${issue.message}`;
}

function parseProgress(file: string, text: string): TrainerState['progress'] {
  try {
    const { best, lastMetrics, ...rest } = progressSchema.parse(JSON.parse(text));
    return { ...rest, best, lastMetrics };
  } catch (error) {
    const problem = error instanceof z.ZodError ? firstIssue(error) : messageOf(error);
    throw new FileError(file, undefined, `its progress can't be read: ${problem}`, undefined, { cause: error });
  }
}
