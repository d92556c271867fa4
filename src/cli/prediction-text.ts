import { csvField } from '../base/csv.ts';
import { percent, score as scoreText } from '../base/format.ts';
import type { Prediction } from '../engine/predict.ts';
import { entitiesOf } from '../tasks/entities.ts';
import { isPair, unlabelled, type Example, type Task } from '../tasks/task.ts';
import { table } from './output.ts';

/** A prediction with its example. */
export interface PredictedRow {
  readonly index: number;
  readonly example: Example;
  readonly prediction: Prediction;
}

function labelName(task: Task, index: number | undefined): string {
  return index === undefined || index === unlabelled || task.kind === 'regression' ? '' : (task.labels[index] ?? '');
}

/** What is predicted, as one text: the label, the score, or each word's label. */
function predictedText(task: Task, { prediction }: PredictedRow): string {
  switch (prediction.kind) {
    case 'class':
      return labelName(task, prediction.label);
    case 'score':
      return String(prediction.score);
    case 'words':
      return prediction.labels.map((label) => labelName(task, label)).join(' ');
  }
}

function trueText(task: Task, { example: { label, words } }: PredictedRow): string {
  if (label === unlabelled) return '';
  if (task.kind === 'regression') return String(label);
  return task.kind === 'words'
    ? (words?.labels ?? []).map((each) => labelName(task, each)).join(' ')
    : labelName(task, label);
}

/**
 * Predictions as a table, a row an example: its texts, what is predicted, how sure, and the label where one is known. `width` is in
 * columns of the terminal.
 */
export function predictionTable(task: Task, rows: readonly PredictedRow[], width: number | undefined): string {
  const labelled = rows.some(({ example }) => example.label !== unlabelled);
  const entities = ({ prediction, example }: PredictedRow): string =>
    prediction.kind !== 'words'
      ? ''
      : entitiesOf(prediction.labels.map((label) => labelName(task, label) || 'O'))
          .map(({ type, start, end }) => `${type}: ${example.words?.texts.slice(start, end).join(' ') ?? ''}`)
          .join('; ');
  return table(
    rows,
    [
      { title: '#', cell: ({ index }) => String(index), align: 'right' },
      task.kind === 'words'
        ? { title: 'found', cell: entities, shrinks: 16 }
        : {
            title: 'prediction',
            cell: (row) =>
              row.prediction.kind === 'score' ? scoreText(row.prediction.score) : predictedText(task, row),
          },
      ...(task.kind === 'classification'
        ? [
            {
              title: 'probability',
              cell: ({ prediction }: PredictedRow) =>
                prediction.kind === 'class' ? percent(prediction.probabilities[prediction.label] ?? NaN, 1) : '',
              align: 'right' as const,
            },
          ]
        : []),
      ...(labelled && task.kind !== 'words'
        ? [{ title: 'label', cell: (row: PredictedRow) => trueText(task, row) }]
        : []),
      { title: 'text', cell: ({ example }) => example.text, shrinks: 20, drops: 1 },
      ...(isPair(task)
        ? [{ title: 'second text', cell: ({ example }: PredictedRow) => example.pair ?? '', shrinks: 20, drops: 2 }]
        : []),
    ],
    width,
  );
}

/** What a float32 holds of a number. */
function sevenDigits(value: number): number {
  return Number(value.toPrecision(7));
}

/** One line an example with its texts, under the names of the task's columns; one line a word where words are labelled. */
export function predictionCsv(task: Task, rows: readonly PredictedRow[]): string {
  const labelled = rows.some(({ example }) => example.label !== unlabelled);
  const line = (fields: readonly (string | number | undefined)[]): string => `${fields.map(csvField).join(',')}\n`;
  const last = labelled ? ['label'] : [];
  if (task.kind === 'words')
    return [
      line(['index', 'word', 'text', 'prediction', ...last]),
      ...rows.flatMap(({ index, example: { words }, prediction }) =>
        (prediction.kind === 'words' ? prediction.labels : []).map((label, word) =>
          line([
            index,
            word,
            words?.texts[word],
            labelName(task, label),
            ...(labelled ? [labelName(task, words?.labels[word])] : []),
          ]),
        ),
      ),
    ].join('');
  const classes = task.kind === 'classification' ? task.labels.map((name) => `p(${name})`) : [];
  const {
    text: [textName = 'text'],
    pair: [pairName] = [],
  } = task.columns;
  return [
    line(['index', 'prediction', ...classes, ...last, textName, ...(pairName === undefined ? [] : [pairName])]),
    ...rows.map((row) =>
      line([
        row.index,
        predictedText(task, row),
        ...(row.prediction.kind === 'class' ? row.prediction.probabilities.map(sevenDigits) : []),
        ...(labelled ? [trueText(task, row)] : []),
        row.example.text,
        ...(pairName === undefined ? [] : [row.example.pair]),
      ]),
    ),
  ].join('');
}

/** A row as JSON has it. */
export function predictionJson(task: Task, { index, example, prediction }: PredictedRow): unknown {
  const known = example.label === unlabelled ? {} : { label: knownLabel(task, example) };
  const pair = example.pair === undefined ? {} : { pair: example.pair };
  const texts = { text: example.text, ...pair };
  switch (prediction.kind) {
    case 'class': {
      const probabilities = Object.fromEntries(
        prediction.probabilities.map((value, label) => [labelName(task, label), value]),
      );
      return { index, ...texts, prediction: labelName(task, prediction.label), probabilities, ...known };
    }
    case 'score':
      return { index, ...texts, prediction: prediction.score, ...known };
    case 'words': {
      const labels = prediction.labels.map((label) => (label === undefined ? null : labelName(task, label)));
      return { index, words: example.words?.texts ?? [], ...pair, prediction: labels, ...known };
    }
  }
}

function knownLabel(task: Task, { label, words }: Example): unknown {
  if (task.kind === 'regression') return label;
  return task.kind === 'words' ? (words?.labels ?? []).map((each) => labelName(task, each)) : labelName(task, label);
}
