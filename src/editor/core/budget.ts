import type { BudgetBreach } from '../../runs/privacy-budget.ts';
import { t } from './l10n.ts';
import { oneLine } from './text.ts';

/** What is said before runs are started that a budget does not allow. */

function epsilonOf(value: number | null): string {
  return value === null ? t('unbounded') : String(Number(value.toPrecision(3)));
}

function lineOf({ data, budget, before, after, reason }: BudgetBreach): string {
  const name = oneLine(data);
  const [limit, delta] = [epsilonOf(budget.epsilon), String(budget.delta)];
  if (reason === 'not-private')
    return t('{0}: the budget is ε {1} at δ {2}, and a run without privacy has no ε at all.', name, limit, delta);
  return t(
    '{0}: the budget is ε {1} at δ {2}. {3} is spent or promised to runs under way; it would become {4}.',
    name,
    limit,
    delta,
    epsilonOf(before),
    epsilonOf(after),
  );
}

/** The question for breaches; nothing where there are none. */
export function breachTexts(
  breaches: readonly BudgetBreach[],
): { readonly message: string; readonly detail: string } | undefined {
  if (breaches.length === 0) return undefined;
  const runs = Math.max(...breaches.map((breach) => breach.runs));
  return {
    message:
      runs === 1
        ? t('This run would exceed the privacy budget of the project.')
        : t('These {0} runs would exceed the privacy budget of the project.', runs),
    detail: [
      ...breaches.map(lineOf),
      t('What is released cannot be taken back. The budget stands in privacy-budget.json.'),
    ].join('\n\n'),
  };
}
