import { existsSync } from 'node:fs';
import { counted, grouped } from '../base/format.ts';
import { budgetFileName, readBudgets } from '../runs/budget-file.ts';
import { budgetStatements, type BudgetStatement, type StatedRun } from '../runs/budget-statement.ts';
import { readWorkspace, type App } from './app.ts';
import { plain, printJson, table } from './output.ts';

function digits(value: number | null, unknown = 'unbounded'): string {
  return value === null ? unknown : String(Number(value.toPrecision(4)));
}

function heading({ data, budget, spent, delta, left, runs }: BudgetStatement): string {
  const total = spent === null ? 0 : spent.epsilon;
  const at = delta === null ? '' : ` at delta ${digits(delta)}`;
  const name = data === '' ? 'data that nothing is known of' : data;
  const words = [
    budget === null ? 'no budget' : `budget epsilon ${digits(budget.epsilon)}${at}`,
    runs.length === 0 ? 'nothing spent' : `spent ${digits(total)}${budget === null ? at : ''}`,
    ...(left === null ? [] : [`left ${digits(left)}`]),
  ];
  return `${plain(name)}: ${words.join(', ')}\n`;
}

function runsTable(app: App, runs: readonly StatedRun[]): string {
  return table(
    runs,
    [
      { title: 'run', cell: ({ run }) => run.slice(-6) },
      { title: 'state', cell: ({ state }) => state },
      {
        title: 'steps',
        align: 'right',
        cell: ({ steps, counted: how }) =>
          steps === null ? '' : `${grouped(steps)}${how === 'planned' ? ' planned' : ''}`,
      },
      { title: 'rate', align: 'right', cell: ({ samplingRate }) => digits(samplingRate, '') },
      {
        title: 'noise',
        align: 'right',
        cell: ({ noiseMultiplier }) => (noiseMultiplier === 0 ? 'none' : digits(noiseMultiplier, '')),
      },
      { title: 'epsilon alone', align: 'right', cell: ({ epsilon, steps }) => (steps === null ? '' : digits(epsilon)) },
    ],
    app.terminal.width,
  );
}

/** `peft-lab privacy budget`: what the project's private runs have spent on each data set, and what its budget leaves. */
export async function budgetCommand(app: App): Promise<number> {
  const workspace = readWorkspace(app);
  const dataSets = await budgetStatements(workspace);
  // A slip of the finger would be a budget that holds for nothing.
  for (const { data, place } of readBudgets(workspace))
    if (!existsSync(place))
      app.terminal.err(
        `warning: ${budgetFileName} names ${plain(data)}, and there is no ${plain(place)}: only runs that were on it count\n`,
      );
  if (app.json) {
    printJson(app.terminal, { dataSets });
    return 0;
  }
  if (dataSets.length === 0) {
    app.terminal.out(`No budget is declared in ${budgetFileName}, and there is no private run.\n`);
    return 0;
  }
  app.terminal.out(
    dataSets
      .map((statement) => {
        const { runs, withoutPrivacy } = statement;
        const open =
          withoutPrivacy.length === 0
            ? ''
            : `${counted(withoutPrivacy.length, 'run')} on the same data without privacy, which no epsilon covers\n`;
        return `${heading(statement)}${runs.length === 0 ? '' : runsTable(app, runs)}${open}`;
      })
      .join('\n'),
  );
  return 0;
}
