import { UserError } from '../base/errors.ts';
import { score } from '../base/format.ts';
import { diffConfigurations, type SettingRow } from '../analysis/configuration-diff.ts';
import { circumstancesOf } from '../analysis/circumstances.ts';
import type { Json } from '../analysis/json.ts';
import { readWorkspace, withStore, type App } from './app.ts';
import { printJson, table, type Column } from './output.ts';
import { detailOf, findRuns } from './runs.ts';

/** Digests are told apart by their beginnings. */
function cell(value: Json | undefined): string {
  if (value === undefined) return '-';
  if (typeof value !== 'string') return JSON.stringify(value);
  return /^(hmac-)?sha256:/.test(value) ? `${value.slice(0, 30)}…` : value;
}

/**
 * `peft-lab diff RUN RUN…`: the settings and circumstances in which runs differ, and what they came to.
 * @throws UserError for fewer than two runs, or a folder that holds none
 */
export async function diffCommand(
  app: App,
  texts: readonly string[],
  { all }: { readonly all: boolean },
): Promise<number> {
  const workspace = readWorkspace(app);
  const ids = findRuns(workspace, texts);
  if (ids.length < 2) throw new UserError('one run differs from nothing', 'Name two runs or more.');
  const runs = await withStore(app, (store) => Promise.all(ids.map((id) => detailOf(store, workspace, id))));
  const rows = diffConfigurations(runs.map(circumstancesOf), { all });
  if (app.json) {
    const told = runs.map(({ id, state, score: best, epsilon }) => ({ id, state, score: best, epsilon }));
    // An absent value stands as null, so that the lists keep their order.
    const settings = rows.map((row) => ({ ...row, values: row.values.map((value) => value ?? null) }));
    printJson(app.terminal, { runs: told, settings });
    return 0;
  }
  const outcomes: readonly SettingRow[] = [
    { path: 'score', values: runs.map((run) => score(run.score)), differs: true },
    ...(runs.some(({ epsilon }) => epsilon !== null)
      ? [{ path: 'epsilon', values: runs.map(({ epsilon }) => epsilon?.toPrecision(4)), differs: true }]
      : []),
  ];
  const columns: readonly Column<SettingRow>[] = [
    { title: '', cell: ({ path }) => path, shrinks: 20 },
    ...runs.map(({ id }, index): Column<SettingRow> => ({
      title: id.slice(-6),
      cell: ({ values }) => cell(values[index]),
      shrinks: 8,
    })),
  ];
  if (rows.length === 0) app.terminal.err('Their settings and circumstances are the same.\n');
  app.terminal.out(table([...rows, ...outcomes], columns, app.terminal.width));
  return 0;
}
