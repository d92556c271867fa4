import { UserError } from '../base/errors.ts';
import { OutOfMemoryError, type TensorData } from './backends/backend.ts';
import type { NamedTensors } from './feeds.ts';

/** Batches that do not fit into the device's memory, or not well into a processor's caches, computed in parts. */

/** What a device holds, and what its memory has been seen not to hold; it lives as long as a training. */
export interface Room {
  /** Tokens, padding included, of the largest pass that is not better split. */
  readonly comfortable: number;
  /** Tokens, padding included, of the smallest pass that did not fit. */
  tooMany: number;
  /** Told when that changes. */
  readonly onChange?: (message: string) => void;
  /** Whether lengths and numbers of examples may be told: those that a private training draws may not. */
  readonly tellsSizes?: boolean;
  /** What would take less memory, as a sentence. */
  readonly advice?: string;
}

/** No pass has failed yet. */
export function unlimitedRoom({ comfortable = Infinity, ...told }: Partial<Omit<Room, 'tooMany'>> = {}): Room {
  return { comfortable, tooMany: Infinity, ...told };
}

/** Examples `from` to `to`, and what the device gave for them. */
export interface Part<T> {
  readonly from: number;
  readonly to: number;
  readonly result: T;
}

/**
 * Runs a batch whole, or where that is more than the device is comfortable with or has memory for in halves, and these in halves again.
 * What did not fit is remembered in `room` and not tried again.
 * @param shape of the batch
 * @param run computes the examples from one up to another
 * @returns the parts in their order
 * @throws UserError when not even one example fits; what `run` throws otherwise
 */
export async function runInParts<T>(
  [examples, tokens]: readonly [examples: number, tokens: number],
  room: Room,
  run: (from: number, to: number) => Promise<T>,
): Promise<readonly Part<T>[]> {
  const parts: Part<T>[] = [];
  const advice = room.advice === undefined ? '' : ` ${room.advice}`;
  const { tellsSizes = true } = room;
  const waiting: (readonly [number, number])[] = [[0, examples]];
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [from, to] = next;
    const count = to - from;
    if (count === 1 || (count * tokens <= room.comfortable && count * tokens < room.tooMany)) {
      try {
        parts.push({ from, to, result: await run(from, to) });
        continue;
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        if (count === 1)
          throw new UserError(
            `one example${tellsSizes ? ` of ${tokens} tokens` : ''} does not fit into the device's memory`,
            `Lower task.maxLength, choose a smaller model, or free memory that other programs hold.${advice}`,
            { cause: error },
          );
        room.tooMany = Math.min(room.tooMany, count * tokens);
        room.onChange?.(
          (tellsSizes
            ? `${count} examples of ${tokens} tokens do not fit into the device's memory; batches of ${room.tooMany} tokens or more are `
            : "a pass does not fit into the device's memory; passes as large are ") +
            `computed in parts from now on, which changes no result beyond rounding.${advice}`,
        );
      }
    }
    const middle = from + Math.ceil(count / 2);
    waiting.unshift([from, middle], [middle, to]);
  }
  return parts;
}

function sliceTensor(tensor: TensorData, examples: number, from: number, to: number): TensorData {
  const [leading = 0, ...rest] = tensor.shape;
  const rows = leading / examples;
  if (!Number.isInteger(rows)) throw new Error(`${leading} rows do not belong to ${examples} examples`);
  const width = rows * rest.reduce((product, dim) => product * dim, 1);
  const shape = [(to - from) * rows, ...rest];
  const [start, end] = [from * width, to * width];
  switch (tensor.dtype) {
    case 'float32':
      return { dtype: 'float32', shape, data: tensor.data.subarray(start, end) };
    case 'int32':
      return { dtype: 'int32', shape, data: tensor.data.subarray(start, end) };
    case 'int64':
      return { dtype: 'int64', shape, data: tensor.data.subarray(start, end) };
    case 'bool':
      return { dtype: 'bool', shape, data: tensor.data.subarray(start, end) };
  }
}

/** The rows of some examples in tensors whose first axis is a batch's examples, or a multiple of them with the examples outermost. */
export function sliceExamples(tensors: NamedTensors, examples: number, from: number, to: number): NamedTensors {
  if (from === 0 && to === examples) return tensors;
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name, sliceTensor(tensor, examples, from, to)]),
  );
}

type Results = Readonly<Record<string, TensorData>>;

function floatsOf(results: Results, name: string): Float32Array {
  const tensor = results[name];
  if (tensor?.dtype !== 'float32') throw new Error(`the graph gives no ${name}`);
  return tensor.data;
}

/** An output whose first axis is the examples, for the whole batch: row-major. */
export function joinExamples(parts: readonly Part<Results>[], name: string): Float32Array {
  const pieces = parts.map(({ result }) => floatsOf(result, name));
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) return first;
  const whole = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** An output that is a sum over the examples, for the whole batch. It may be the first part's own array. */
export function sumParts(parts: readonly Part<Results>[], name: string): Float32Array {
  const [first, ...rest] = parts.map(({ result }) => floatsOf(result, name));
  if (first === undefined) throw new Error('a batch of no parts');
  for (const piece of rest) for (let i = 0; i < first.length; i++) first[i] = (first[i] ?? 0) + (piece[i] ?? 0);
  return first;
}
