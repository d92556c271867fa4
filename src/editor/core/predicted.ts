import { fixed, percent, score } from '../../base/format.ts';
import type { Predicted, PredictedTexts } from '../worker/printed.ts';
import { t } from './l10n.ts';
import { oneLine, withoutLinks } from './text.ts';

/** What a run's model says of one text, in a line: `positive (98.2 %)`, `3.41`, `The/O cat/B-WORD`. */
export function predictedText({ prediction, probabilities, words }: PredictedTexts['predictions'][number]): string {
  if (typeof prediction === 'number') return fixed(prediction, 2);
  if (typeof prediction === 'string') {
    const probability = probabilities?.[prediction];
    return probability === undefined ? prediction : `${prediction} (${percent(probability, 1)})`;
  }
  return prediction.map((label, word) => `${words?.[word] ?? ''}/${label ?? '–'}`).join(' ');
}

/** The same with the text that was asked about, for a notification. */
export function predictedNotice(predicted: PredictedTexts['predictions'][number], text: string): string {
  return withoutLinks(oneLine(`${predictedText(predicted)} – ${text}`));
}

/** How well the examples were predicted, where that is known. */
export function predictedScores({ examples, metrics, coveredByEpsilon }: Predicted): string {
  if (metrics === undefined) return t('{0} examples were predicted; their labels are not known.', examples);
  const scores = Object.entries(metrics)
    .map(([name, value]) => `${name} ${score(value)}`)
    .join(', ');
  const told = t('{0} over {1} examples.', scores, examples);
  return coveredByEpsilon === false ? `${told} ${t('These scores are not covered by epsilon.')}` : told;
}
