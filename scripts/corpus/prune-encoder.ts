// Usage: node scripts/corpus/prune-encoder.ts TEACHER TEXT OUTPUT --layers 0,4,5 --intermediate 640 --vocabulary 6144 --positions 128
// Makes a small BERT out of a larger one, to be pretrained further: some of its layers (as DistilBERT begins; Sanh et al. 2019, section 2), of
// their feed-forward neurons those with the greatest weights, and of its word pieces the most frequent. TEACHER is a folder with a BERT
// that makes word pieces, TEXT a file with one document a line.
import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openEncoder, type EncoderCheckpoint } from '../../src/engine/encoder-checkpoint.ts';
import { tensorName, wordHeadTensors } from '../../src/engine/encoders/tensor-names.ts';
import { draw } from '../../src/engine/initialise.ts';
import { readTensors, writeSafetensors, type WritableTensor } from '../../src/engine/safetensors.ts';
import { specialPieces, tokenizerFiles } from '../../src/engine/tokenizers/learn-word-pieces.ts';
import { loadTokenizer } from '../../src/engine/tokenizers/load.ts';
import type { Tokenizer } from '../../src/engine/tokenizers/tokenizer.ts';

interface Sizes {
  readonly layers: readonly number[];
  readonly intermediate: number;
  readonly vocabulary: number;
  readonly positions: number;
}

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

async function tensorOf(teacher: EncoderCheckpoint, name: string): Promise<Matrix> {
  const found = teacher.tensors.get(name);
  const tensor = found && (await readTensors(found.file, [found.name])).get(found.name);
  if (tensor?.dtype !== 'F32') throw new Error(`${teacher.folder} has no readable ${name}`);
  const [rows = 1, columns = 1] = tensor.shape;
  return { rows, columns, data: tensor.data };
}

function takeRows({ columns, data }: Matrix, kept: readonly number[]): Matrix {
  const taken = new Float32Array(kept.length * columns);
  for (const [to, from] of kept.entries()) taken.set(data.subarray(from * columns, (from + 1) * columns), to * columns);
  return { rows: kept.length, columns, data: taken };
}

function transposed({ rows, columns, data }: Matrix): Matrix {
  const turned = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = data[row * columns + column] ?? 0;
  return { rows: columns, columns: rows, data: turned };
}

function rowNorms({ rows, columns, data }: Matrix): readonly number[] {
  return Array.from({ length: rows }, (_, row) => Math.hypot(...data.subarray(row * columns, (row + 1) * columns)));
}

/** The places of the `count` greatest, in order of place. */
function greatest(values: readonly number[], count: number): readonly number[] {
  return [...values.keys()]
    .sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/**
 * The teacher's pieces to keep: the special ones, every printable ASCII character at the beginning and within a word, and those with the greatest
 * frequency, half by the text and half by the teacher's own order, which is that of its frequencies (Zipf's law gives them back).
 */
function chosenPieces(tokenizer: Tokenizer, lines: readonly string[], size: number): readonly number[] {
  const counts = new Float64Array(tokenizer.vocabularySize);
  let all = 0;
  for (const line of lines) {
    const { ids, special } = tokenizer.encodeFast(line, undefined, 512);
    for (const [at, id] of ids.entries()) {
      if (special[at] === 1) continue;
      counts[id] = (counts[id] ?? 0) + 1;
      all++;
    }
  }
  const pieces = Array.from(counts, (_, id) => tokenizer.idToToken(id) ?? '');
  const firstWord = pieces.indexOf('the');
  const zipf = 1 / Math.log(pieces.length);
  const weights = pieces.map((piece, id) => {
    if (/^(?:##)?[!-~]$/u.test(piece)) return Infinity;
    if (id < firstWord) return (counts[id] ?? 0) / all;
    return (counts[id] ?? 0) / all + zipf / (id - firstWord + 1);
  });
  const special = specialPieces.map((piece) => pieces.indexOf(piece));
  for (const id of special) weights[id] = -1;
  return [...special, ...greatest(weights, size - special.length)];
}

async function prune(folder: string, textFile: string, output: string, sizes: Sizes): Promise<void> {
  const teacher = await openEncoder(folder);
  const { config } = teacher;
  const tokenizer = await loadTokenizer(folder);
  const lines = (await readFile(textFile, 'utf8')).split('\n');
  const kept = chosenPieces(tokenizer, lines, sizes.vocabulary);
  const tensors = new Map<string, WritableTensor>();
  const put = (name: string, { rows, columns, data }: Matrix): void => {
    const isVector = /(?:bias|Norm\.weight)$/u.test(name);
    tensors.set(`bert.${name}`, { shape: isVector ? [rows] : [rows, columns], data });
  };
  for (const [name, { shape }] of teacher.tensors) {
    if (!name.startsWith('embeddings.') || name.endsWith('position_ids')) continue;
    const tensor = await tensorOf(teacher, name);
    const rows = name.includes('word_embeddings')
      ? kept
      : Array.from({ length: name.includes('position') ? sizes.positions : (shape[0] ?? 0) }, (_, row) => row);
    put(name, takeRows(tensor, rows));
  }
  for (const [to, from] of sizes.layers.entries()) {
    const prefix = `encoder.layer.${from}.`;
    const up = await tensorOf(teacher, `${prefix}intermediate.dense.weight`);
    const down = transposed(await tensorOf(teacher, `${prefix}output.dense.weight`));
    const downNorms = rowNorms(down);
    const neurons = greatest(
      rowNorms(up).map((norm, neuron) => norm * (downNorms[neuron] ?? 0)),
      sizes.intermediate,
    );
    for (const name of teacher.tensors.keys()) {
      if (!name.startsWith(prefix)) continue;
      const rest = name.slice(prefix.length);
      const whole = await tensorOf(teacher, name);
      const own =
        rest === 'output.dense.weight'
          ? transposed(takeRows(down, neurons))
          : rest.startsWith('intermediate.dense.')
            ? takeRows(whole, neurons)
            : whole;
      put(`encoder.layer.${to}.${rest}`, own);
    }
  }
  const width = config.hiddenSize;
  for (const tensor of wordHeadTensors()) {
    const name = tensorName(config, tensor);
    const isMatrix = tensor.module === 'wordTransform' && tensor.part === 'weight';
    const length = name === 'cls.predictions.bias' ? kept.length : width;
    const shape = isMatrix ? [width, width] : [length];
    const law = isMatrix
      ? ({ kind: 'normal', deviation: 0.02 } as const)
      : { kind: tensor.part === 'weight' ? ('ones' as const) : ('zeros' as const) };
    tensors.set(name, { shape, data: draw(law, name, shape, 0) });
  }
  const json = {
    model_type: 'bert',
    architectures: ['BertForMaskedLM'],
    vocab_size: kept.length,
    hidden_size: width,
    num_hidden_layers: sizes.layers.length,
    num_attention_heads: config.attentionHeads,
    intermediate_size: sizes.intermediate,
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    max_position_embeddings: sizes.positions,
    type_vocab_size: 2,
    layer_norm_eps: config.layerNormEpsilon,
    initializer_range: 0.02,
    pad_token_id: 0,
    tie_word_embeddings: true,
  };
  await mkdir(output, { recursive: true });
  await writeFile(join(output, 'config.json'), `${JSON.stringify(json, undefined, 2)}\n`);
  const vocabulary = kept.map((id) => tokenizer.idToToken(id) ?? '');
  for (const [name, text] of Object.entries(tokenizerFiles(vocabulary, sizes.positions)))
    await writeFile(join(output, name), text);
  await writeSafetensors(join(output, 'model.safetensors'), tensors, { format: 'pt' });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    layers: { type: 'string', default: '0,4,5' },
    intermediate: { type: 'string', default: '640' },
    vocabulary: { type: 'string', default: '6144' },
    positions: { type: 'string', default: '128' },
  },
});
const [teacher, text, output] = positionals;
if (teacher === undefined || text === undefined || output === undefined) {
  process.stderr.write('usage: node scripts/corpus/prune-encoder.ts TEACHER TEXT OUTPUT [--layers 0,4,5] …\n');
  process.exitCode = 2;
} else
  await prune(teacher, text, output, {
    layers: values.layers.split(',').map(Number),
    intermediate: Number(values.intermediate),
    vocabulary: Number(values.vocabulary),
    positions: Number(values.positions),
  });
