import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import type { FieldProblem } from './fields.ts';
import type { Curve, DataSet, Plan, Size } from './messages.ts';

/** What the planner says in words. */

/** An epsilon, or that there is none, where no noise is added. */
export function epsilonText(epsilon: number | null, strings: Strings, formats: Formats): string {
  return epsilon === null ? strings.epsilonUnbounded : formats.number(epsilon);
}

/** What is wrong with a field. */
export function problemText(problem: FieldProblem, examples: string, strings: Strings): string {
  switch (problem) {
    case 'count':
      return strings.invalidCount;
    case 'positive':
      return strings.invalidPositive;
    case 'delta':
      return strings.invalidDelta;
    case 'too-large':
      return fill(strings.batchSizeTooLarge, { n: examples });
  }
}

/** A data set to choose, with its number of examples. */
export function sizeText({ title, examples, from }: Size, strings: Strings, formats: Formats): string {
  return fill(from === 'run' ? strings.sizeOfRun : strings.sizeOfTask, { title, n: formats.integer(examples) });
}

/** What has been spent on data, and of which budget. */
export function dataSetText({ data, budget, spent }: DataSet, strings: Strings, formats: Formats): string {
  const text = epsilonText(spent, strings, formats);
  return budget === null
    ? fill(strings.dataSetSpent, { data, spent: text })
    : fill(strings.dataSetBudget, { data, spent: text, budget: formats.number(budget.epsilon) });
}

/** The warning of a delta above 1/N; nothing where there is none. */
export function weakText({ deltaIsWeak, inputs }: Plan, strings: Strings, formats: Formats): string {
  return deltaIsWeak ? fill(strings.deltaWeak, { limit: formats.number(1 / inputs.examples) }) : '';
}

/**
 * The warning of a plan that goes beyond the budget of a data set; nothing where it does not. Epsilons compare at one delta alone, so
 * the plan's is the one at the budget's.
 */
export function breachText(
  { atBudget }: Plan,
  dataSet: Pick<DataSet, 'data' | 'budget'> | undefined,
  strings: Strings,
  formats: Formats,
): string {
  const budget = dataSet?.budget ?? null;
  // A budget that was changed just now is planned for anew.
  if (dataSet === undefined || budget === null || atBudget?.delta !== budget.delta) return '';
  if (atBudget.epsilon !== null && atBudget.epsilon <= budget.epsilon) return '';
  return fill(strings.overBudget, {
    data: dataSet.data,
    epsilon: epsilonText(atBudget.epsilon, strings, formats),
    delta: formats.number(budget.delta),
    budget: formats.number(budget.epsilon),
  });
}

/** What an accountant is called. */
export function accountantText(name: Plan['accountant'], strings: Strings): string {
  return name === 'prv' ? strings.accountantPrv : strings.accountantRdp;
}

/** The plan in one sentence, for those who can't see it. */
export function planText(plan: Plan, strings: Strings, formats: Formats): string {
  return fill(strings.planText, {
    noise: formats.number(plan.noiseMultiplier),
    epsilon: epsilonText(plan.epsilon, strings, formats),
    delta: formats.number(plan.delta),
    steps: formats.integer(plan.totalSteps),
    rate: formats.number(plan.samplingRate),
    weak: weakText(plan, strings, formats),
  }).trim();
}

/** A curve in one sentence: where it begins, and where it ends. */
export function curveText(
  title: string,
  { points }: Curve,
  place: (x: number) => string,
  strings: Strings,
  formats: Formats,
): string {
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const [first] = sorted;
  const last = sorted.at(-1);
  if (first === undefined || last === undefined) return fill(strings.curveText, { title, points: strings.computing });
  const point = ({ x, epsilon }: Curve['points'][number]): string =>
    fill(strings.curvePoint, { x: place(x), epsilon: epsilonText(epsilon, strings, formats) });
  return fill(strings.curveText, {
    title,
    points: fill(strings.curveRange, { first: point(first), last: point(last), n: formats.integer(points.length) }),
  });
}
