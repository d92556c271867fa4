import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { FileError } from '../../base/errors.ts';
import { openEncoder } from '../encoder-checkpoint.ts';
import { tensorName } from '../encoders/tensor-names.ts';
import { readTensors } from '../safetensors.ts';
import { loadTokenizer } from '../tokenizers/load.ts';
import type { Tokenizer } from '../tokenizers/tokenizer.ts';

/**
 * Start values of word embeddings, taken from another encoder: each piece gets the teacher's embedding of it, or the mean of the teacher's
 * embeddings of the pieces that it would cut it into, projected onto the principal directions of all of them where the new encoder is
 * narrower. The projection keeps what it can of distances between words, which is what a small corpus teaches last.
 * @param teacher a folder with an encoder whose tokeniser makes word pieces
 * @returns [vocabulary.length, width], row-major
 * @throws FileError when the teacher is missing, damaged, no wider than `width`, or cuts text otherwise
 */
export async function teacherEmbeddings(
  teacher: string,
  vocabulary: readonly string[],
  width: number,
): Promise<Float32Array> {
  const { config, tensors } = await openEncoder(teacher);
  const tokenizer = await loadTokenizer(teacher);
  if (tokenizer.family !== 'wordpiece')
    throw new FileError(teacher, undefined, 'cuts text into bytes, not word pieces', 'Name a BERT, ELECTRA or MiniLM.');
  const teacherWidth = config.embeddingSize;
  if (teacherWidth < width)
    throw new FileError(
      teacher,
      undefined,
      `has word embeddings of ${teacherWidth}, and the new encoder needs ${width}`,
      'Name a teacher that is at least as wide, or make the new encoder narrower.',
    );
  const name = tensorName(config, { module: 'wordEmbeddings', layer: undefined, part: 'weight' });
  const found = tensors.get(name);
  const table = found && (await readTensors(found.file, [found.name])).get(found.name);
  if (table?.dtype !== 'F32')
    throw new FileError(teacher, undefined, `has no readable word embeddings (${name})`, 'Get the model again.');
  const rows = Matrix.zeros(vocabulary.length, teacherWidth);
  for (const [row, piece] of vocabulary.entries()) {
    const ids = teacherIds(tokenizer, piece);
    for (const id of ids)
      for (let column = 0; column < teacherWidth; column++)
        rows.set(row, column, rows.get(row, column) + (table.data[id * teacherWidth + column] ?? 0) / ids.length);
  }
  return Float32Array.from((teacherWidth === width ? rows : projected(rows, width)).to1DArray());
}

/** The teacher's ids for a piece: its own, or those of the characters that it stands for. */
function teacherIds(tokenizer: Tokenizer, piece: string): readonly number[] {
  const own = tokenizer.tokenToId(piece);
  if (own !== undefined) return [own];
  const { ids, special } = tokenizer.encodeFast(piece.replace(/^##/u, ''), undefined, tokenizer.maxLength ?? 512);
  return [...ids].filter((_, at) => special[at] === 0);
}

/** Rows without their mean, on the `width` orthonormal directions in which they differ most. */
function projected(rows: Matrix, width: number): Matrix {
  const centred = rows.clone().subRowVector(rows.mean('column'));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(centred.transpose().mmul(centred), {
    assumeSymmetric: true,
  });
  const directions = realEigenvalues
    .map((variance, index) => ({ variance, index }))
    .sort((a, b) => b.variance - a.variance)
    .slice(0, width);
  return centred.mmul(eigenvectorMatrix.subMatrixColumn(directions.map(({ index }) => index)));
}
