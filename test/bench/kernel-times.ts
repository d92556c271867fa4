import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { FileError } from '../../src/base/errors.ts';
import { median } from './comparison.ts';

/** What a file of onnxruntime's profiler says of the operations of a graph. */

/** What one kind of operation took. */
export interface KernelTime {
  readonly operation: string;
  /** Nodes of this kind that ran in one pass. */
  readonly nodes: number;
  /** Seconds of one pass: the median of the passes. */
  readonly seconds: number;
}

export interface KernelTimes {
  /** Seconds of one pass through the whole graph: the median of the passes. */
  readonly seconds: number;
  /** By what they took, longest first. */
  readonly kernels: readonly KernelTime[];
  /** Seconds of the matrix products among them. */
  readonly productSeconds: number;
  /** Floating-point operations of the matrix products of one pass: a multiplication and an addition each. */
  readonly productOperations: number;
}

const shapes = z.array(z.record(z.string(), z.array(z.number())));

const event = z.object({
  cat: z.string(),
  name: z.string(),
  /** Microseconds. */
  dur: z.number(),
  ts: z.number(),
  args: z
    .object({ op_name: z.string(), input_type_shape: shapes, output_type_shape: shapes })
    .partial()
    .exactOptional(),
});

type Event = z.output<typeof event>;

const products: ReadonlySet<string> = new Set(['MatMul', 'FusedMatMul', 'Gemm', 'FusedGemm']);

const size = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/**
 * Operations of A · B = C, where either factor may be transposed: two for each element of C and each number that it sums. A has as many numbers
 * for each of C's rows, whichever way it lies. (B's shape is not told where it is a constant that the runtime has packed.)
 */
export function productOperations(left: readonly number[], result: readonly number[]): number {
  const rows = size(result) / (result.at(-1) ?? 1);
  return 2 * size(result) * (size(left) / rows);
}

function operationsOf({ args }: Event): number {
  const shapeAt = (of: readonly Readonly<Record<string, number[]>>[] | undefined): number[] =>
    Object.values(of?.[0] ?? {})[0] ?? [];
  return productOperations(shapeAt(args?.input_type_shape), shapeAt(args?.output_type_shape));
}

/** The events of each pass: the runtime writes an event when it ends, so a pass follows its nodes. */
function passesOf(events: readonly Event[]): readonly { readonly seconds: number; readonly nodes: readonly Event[] }[] {
  const passes: { seconds: number; nodes: Event[] }[] = [];
  let nodes: Event[] = [];
  for (const each of events) {
    if (each.cat === 'Node' && each.name.endsWith('_kernel_time')) nodes.push(each);
    if (each.cat !== 'Session' || each.name !== 'model_run') continue;
    passes.push({ seconds: each.dur / 1e6, nodes });
    nodes = [];
  }
  return passes;
}

/**
 * Reads a profile.
 * @param warmUp passes at its beginning that do not count
 * @throws FileError when it is not one, or holds no pass that counts
 */
export async function readKernelTimes(file: string, warmUp: number): Promise<KernelTimes> {
  const parsed = z.array(event).safeParse(JSON.parse(await readFile(file, 'utf8')));
  if (!parsed.success)
    throw new FileError(file, undefined, `not a profile of onnxruntime: ${z.prettifyError(parsed.error)}`);
  const passes = passesOf(parsed.data).slice(warmUp);
  const [first] = passes;
  if (first === undefined) throw new FileError(file, undefined, `a profile of no more than ${warmUp} passes`);
  const nameOf = ({ args }: Event): string => args?.op_name ?? 'unknown';
  const names = new Set(first.nodes.map(nameOf));
  const secondsOf = (wanted: (name: string) => boolean): number =>
    median(
      passes.map(
        ({ nodes }) => nodes.filter((node) => wanted(nameOf(node))).reduce((sum, { dur }) => sum + dur, 0) / 1e6,
      ),
    );
  const kernels = Array.from(names, (operation) => ({
    operation,
    nodes: first.nodes.filter((node) => nameOf(node) === operation).length,
    seconds: secondsOf((name) => name === operation),
  }));
  return {
    seconds: median(passes.map(({ seconds }) => seconds)),
    kernels: kernels.toSorted((a, b) => b.seconds - a.seconds),
    productSeconds: secondsOf((name) => products.has(name)),
    productOperations: first.nodes
      .filter((node) => products.has(nameOf(node)))
      .reduce((sum, node) => sum + operationsOf(node), 0),
  };
}
