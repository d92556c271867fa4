import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { UserError } from '../../src/base/errors.ts';

export interface BenchOptions {
  /** One JSON object a line on stdout in place of tables. */
  readonly json: boolean;
  /** Few rounds, no torch.compile and little data: to see that everything runs. */
  readonly quick: boolean;
  /** Only comparisons whose names hold one of these; all when empty. */
  readonly only: readonly string[];
  readonly list: boolean;
  readonly python: string | undefined;
  readonly threads: number;
  readonly rounds: number;
  /** The folder with SST-2 as GLUE distributes it. */
  readonly sst2: string | undefined;
  /** The folder of a pretrained encoder, for the end-to-end comparison. */
  readonly encoder: string | undefined;
  readonly examples: number;
}

export const usage = `npm run bench [-- OPTION...]
  --json            one JSON object a line for each comparison: name, unit, ours, peer and ratio (null where there is no peer), and details
  --only TEXT       only comparisons whose names hold TEXT; may be repeated. step/ is the comparison with PyTorch, methods/ the table of all
                    methods, privacy/ that of private steps, profile/ where a step's time goes, scale/ how it grows, start/ how soon
                    a run begins, recompute/ what training.recompute saves and costs, passes/ what it is worth to cut a batch, eight-bit/ how near
                    gradients in 8 bits are
  --list            the names of the comparisons
  --quick           few rounds, no torch.compile, 512 examples: a check, not a measurement
  --threads N       threads of both sides (2)
  --rounds N        rounds of a step comparison (7)
  --python PATH     a Python with torch, transformers and peft (else PEFT_LAB_PYTHON, else python3)
  --encoder FOLDER  a pretrained encoder for the end-to-end comparison and for eight-bit/
  --sst2 FOLDER     train.tsv and dev.tsv of SST-2 (else ../shared/data/sst2)
  --examples N      stratified training sentences of the end-to-end comparison (8000)
`;

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UserError(`--${name} must be a whole number above 0, not ${text}`);
  return value;
}

/** @throws UserError on an unknown option or a bad value */
export function parseOptions(args: readonly string[]): BenchOptions {
  const parse = (): ReturnType<typeof parseValues> => {
    try {
      return parseValues(args);
    } catch (cause) {
      throw new UserError(cause instanceof Error ? cause.message : String(cause), usage, { cause });
    }
  };
  const values = parse();
  const quick = values.quick ?? false;
  return {
    json: values.json ?? false,
    quick,
    only: values.only ?? [],
    list: values.list ?? false,
    python: values.python,
    threads: positive('threads', values.threads, Math.min(2, availableParallelism())),
    rounds: positive('rounds', values.rounds, quick ? 3 : 7),
    sst2: values.sst2,
    encoder: values.encoder,
    examples: positive('examples', values.examples, quick ? 512 : 8000),
  };
}

function parseValues(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean' },
      quick: { type: 'boolean' },
      only: { type: 'string', multiple: true },
      list: { type: 'boolean' },
      python: { type: 'string' },
      threads: { type: 'string' },
      rounds: { type: 'string' },
      sst2: { type: 'string' },
      encoder: { type: 'string' },
      examples: { type: 'string' },
    },
  }).values;
}
