import { fileURLToPath } from 'node:url';
import { UserError } from '../base/errors.ts';
import { closestName, suggestion } from '../base/suggest.ts';
import { differencesAgainst } from '../analysis/against.ts';
import { compareRuns, evaluationAt, type ComparedRun, type ComparisonOptions } from '../analysis/comparison.ts';
import { isJsonObject, isNamed } from '../analysis/json.ts';
import { comparisonReport } from '../analysis/html-report.ts';
import { comparisonFormats, renderComparison, type ComparisonFormat, type RenderOptions } from '../analysis/render.ts';
import { methodTitles } from '../peft/registry.ts';
import { readIfThere } from '../runs/files.ts';
import { programVersion } from '../runs/program.ts';
import { installedCatalogue } from '../runs/catalogue.ts';
import { branchPaths, configurationJsonSchema, settingPaths } from '../runs/configuration-json-schema.ts';
import type { ComparisonRow } from '../store/comparison-rows.ts';
import { taskTitles } from '../tasks/registry.ts';
import { hasWorkspace, readWorkspace, withStore, type App } from './app.ts';
import { filterOf, type FilterOptions } from './ls.ts';
import { plainLines, safeJson } from './output.ts';
import { findRuns } from './runs.ts';

export interface CompareOptions extends Omit<FilterOptions, 'state'> {
  readonly by?: string;
  readonly metric: string;
  readonly at: 'best' | 'last';
  readonly parameters: NonNullable<RenderOptions['parameters']>;
  readonly format?: string;
  readonly interval: 'student' | 'bootstrap';
  readonly level: number;
  readonly digits: number;
  /** The row that the others are held against: its label, or its method's name. */
  readonly against?: string;
}

type Format = ComparisonFormat | 'html';

const formats: readonly Format[] = [...comparisonFormats, 'html'];

function isFormat(text: string): text is Format {
  return (formats as readonly string[]).includes(text);
}

function formatOf(app: App, text: string | undefined): Format {
  const chosen = text ?? (app.json ? 'json' : 'table');
  if (!isFormat(chosen)) throw new UserError(`there is no format "${chosen}"`, suggestion(chosen, formats));
  if (app.json && chosen !== 'json') throw new UserError(`--json and --format ${chosen} exclude one another`);
  return chosen;
}

/** `method,task`: the settings that make a row; `task` makes the columns. */
function axesOf(by: string | undefined): Pick<ComparisonOptions, 'rows' | 'columns'> {
  if (by === undefined) return {};
  const written = by.split(',').map((key) => key.trim());
  const keys = [...new Set(written)].filter((key) => key !== '');
  const schema = configurationJsonSchema(installedCatalogue);
  const known = settingPaths(schema);
  const unknown = keys.find((key) => !known.includes(key));
  if (unknown !== undefined) {
    // All of them would fill the screen.
    const closest = closestName(unknown, known);
    throw new UserError(
      `--by: there is no setting "${unknown}"`,
      closest === undefined
        ? 'A setting is a dotted path such as method.rank or training.seed.'
        : `Did you mean "${closest}"?`,
    );
  }
  // A branch with a name stands for it: `method` for `method.id`.
  const branch = branchPaths(schema).find((path) => keys.includes(path) && !isNamed(path));
  if (branch !== undefined)
    throw new UserError(
      `--by: "${branch}" is no setting but holds some`,
      `They are ${known.filter((path) => path.startsWith(`${branch}.`)).join(', ')}.`,
    );
  const rows = keys.filter((key) => key !== 'task');
  return rows.length === 0 ? {} : { rows };
}

function comparedRun(row: ComparisonRow): ComparedRun {
  const config: unknown = row.config;
  return { ...row, config: isJsonObject(config) ? config : null };
}

/** @throws UserError when no run has such a metric */
function checkMetric(rows: readonly ComparisonRow[], metric: string, at: 'best' | 'last'): void {
  const names = new Set<string>(['score']);
  for (const row of rows)
    for (const [split, metrics] of Object.entries(evaluationAt(row, at)?.splits ?? {}))
      for (const name of Object.keys(metrics)) names.add(split === 'dev' ? name : `${split}/${name}`);
  if (names.size > 1 && !names.has(metric.replace(/^dev\//, '')))
    throw new UserError(`no run has the metric "${metric}"`, suggestion(metric, names));
}

/** The code of a report's page: beside the bundle, or where the source is built to. */
function reportScript(): string {
  const place = import.meta.url.endsWith('.js') ? './webviews/report.js' : '../../dist/webviews/report.js';
  const script = readIfThere(fileURLToPath(new URL(place, import.meta.url)));
  if (script === undefined)
    throw new UserError('the page of HTML reports is not built', 'Build it with: npm run build');
  return script;
}

/** `peft-lab compare [RUN…]`: means over seeds, method by task. */
export async function compareCommand(app: App, texts: readonly string[], options: CompareOptions): Promise<number> {
  const format = formatOf(app, options.format);
  const axes = axesOf(options.by);
  if (options.against !== undefined && (format === 'csv' || format === 'html'))
    throw new UserError(`--against has no place in ${format}`, 'Take table, markdown or json.');
  if (!(options.level > 0 && options.level < 1))
    throw new UserError(`--level: ${options.level} is not between 0 and 1`, 'For example 0.95.');
  const filter = {
    ...filterOf(options),
    ...(texts.length === 0 ? {} : { ids: findRuns(readWorkspace(app), texts) }),
  };
  const rows = hasWorkspace(app) ? await withStore(app, (store) => store.comparison(filter)) : [];
  checkMetric(rows, options.metric, options.at);
  const interval = { method: options.interval, level: options.level };
  if (format === 'html') {
    const { metric, at, parameters } = options;
    app.terminal.out(
      await comparisonReport({
        script: reportScript(),
        runs: rows,
        ...(axes.rows === undefined ? {} : { rows: axes.rows }),
        metric,
        at,
        interval,
        parameters,
        methods: methodTitles(),
        tasks: taskTitles(),
        version: programVersion(),
        made: new Date(),
      }),
    );
    return 0;
  }
  const runs = rows.map(comparedRun);
  const comparison = compareRuns(runs, {
    ...axes,
    metric: options.metric,
    at: options.at,
    interval,
  });
  const text = renderComparison(comparison, {
    format,
    parameters: options.parameters,
    digits: options.digits,
    ...(options.against === undefined ? {} : { against: differencesAgainst(comparison, runs, options.against) }),
  });
  if (format === 'json') app.terminal.out(safeJson(text));
  // CSV keeps every character in a file; what people read may come to a terminal by way of a pipe.
  else app.terminal.out(format === 'csv' && app.terminal.width === undefined ? text : plainLines(text));
  return 0;
}
