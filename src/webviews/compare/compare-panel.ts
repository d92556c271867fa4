import '@vscode-elements/elements/dist/vscode-button/index.js';
import { css, html, LitElement, nothing, svg, type TemplateResult } from 'lit';
import type { Comparison, ComparisonRow } from '../../analysis/comparison.ts';
import { withoutUnseen } from '../../base/plain-text.ts';
import { select, tableToggle, type Choice } from '../components/controls.ts';
import { base, panel } from '../components/styles.ts';
import { table, type Column } from '../components/table.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import { marksOf, type Mark } from './marks.ts';
import type { PanelRun, View } from './messages.ts';
import type { CompareModel } from './model.ts';
import {
  averagedTasks,
  columnsOf,
  facetsOf,
  methodOf,
  metricsOf,
  rowKey,
  runsOfRow,
  shownColumn,
  type ColumnRun,
  type Facet,
  type Point,
} from './points.ts';
import { OpenPointEvent, type ScatterModel } from './scatter-chart.ts';
import {
  chartText,
  columnText,
  notesOf,
  pointScoreText,
  rangeText,
  runsText,
  scopeText,
  scoreText,
  signsOf,
} from './texts.ts';

export interface ComparePanelProperties {
  readonly model: CompareModel;
  readonly strings: Strings;
  readonly formats: Formats;
  readonly view: View;
  readonly onView: (view: View) => void;
  /** Undefined in a report, where no run can be opened. */
  readonly onOpen: ((run: string) => void) | undefined;
  readonly onExport: (() => void) | undefined;
  /** Of a report: its title and when it was made. */
  readonly title?: string;
  readonly made?: string;
}

/** The runs of a point or a row, for a choice among them. */
interface Chosen {
  readonly label: string;
  readonly runs: readonly ColumnRun[];
}

/** Methods against tasks, as a chart and as a table. */
export class ComparePanel extends LitElement {
  static override properties = {
    properties: { attribute: false },
    revision: { type: Number },
    chosen: { state: true },
  };

  static override styles = [
    base,
    panel,
    css`
      main {
        gap: 20px;
      }
      .tools {
        gap: 12px 16px;
      }
      .tools .field {
        flex: 1 1 11em;
        max-width: 16em;
      }
      .tools vscode-single-select {
        width: 100%;
      }
      section {
        display: flex;
        flex-direction: column;
        gap: 10px;
        min-width: 0;
      }
      section > header {
        display: flex;
        align-items: center;
        gap: 8px;
      }
      section > header h2 {
        flex: 1;
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        gap: 4px 16px;
        margin: 0;
        padding: 0;
        list-style: none;
      }
      .legend li {
        display: inline-flex;
        align-items: center;
        gap: 6px;
        overflow-wrap: anywhere;
      }
      .legend svg {
        flex: none;
      }
      .legend .front-key {
        color: var(--vscode-descriptionForeground);
      }
      .notes {
        margin: 0;
        padding: 0;
        list-style: none;
        color: var(--vscode-descriptionForeground);
        font-size: 0.92em;
      }
      .chosen {
        padding: 8px 12px;
        border: 1px solid var(--vscode-widget-border, var(--vscode-panel-border, transparent));
        border-radius: 4px;
      }
      .chosen ul {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 20px;
        margin: 4px 0 0;
        padding: 0;
        list-style: none;
      }
      .best {
        font-weight: 700;
      }
      .second {
        font-style: italic;
      }
      @media (max-width: 480px) {
        .tools .field {
          flex: 1 1 8em;
        }
      }
    `,
  ];

  declare properties: ComparePanelProperties | undefined;
  declare revision: number;
  /** What is listed to choose from. */
  declare private chosen: Chosen | undefined;
  /** The chart or table where it was asked for. */
  private opener: Element | null = null;

  constructor() {
    super();
    this.properties = undefined;
    this.revision = 0;
    this.chosen = undefined;
    this.addEventListener('peft-open-point', (event) => {
      if (event instanceof OpenPointEvent) this.openPoint(event.point);
    });
  }

  private openPoint({ label, column, runs }: Point): void {
    this.openRuns({ label, runs: runs.map((run) => ({ column, run })) });
  }

  private openRuns(chosen: Chosen): void {
    const [only, another] = chosen.runs;
    if (only !== undefined && another === undefined) {
      this.properties?.onOpen?.(only.run);
      return;
    }
    this.opener = this.shadowRoot?.activeElement ?? null;
    this.chosen = chosen;
    void this.updateComplete.then(() => {
      this.renderRoot.querySelector<HTMLElement>('.chosen button')?.focus();
    });
  }

  private arrange(change: Partial<View>): void {
    const { properties } = this;
    if (properties === undefined) return;
    const view = { ...properties.view, ...change };
    this.properties = { ...properties, view };
    properties.onView(view);
  }

  /** Looks at other points, among which the chosen one need not be. */
  private look(change: Partial<View>): void {
    this.chosen = undefined;
    this.arrange(change);
  }

  private tools(comparison: Comparison, { model, view, strings }: ComparePanelProperties): TemplateResult {
    const metrics = metricsOf(model.runs());
    const columns = columnsOf(comparison);
    const same = (values: readonly string[], text: (value: string) => string): readonly Choice<string>[] =>
      values.map((value) => ({ value, label: text(value) }));
    const hasPrivacy = comparison.rows.some(({ epsilon }) => epsilon !== null);
    return html`<div class="tools" role="group" aria-label=${strings.comparison}>
      ${select(
        strings.task,
        same(columns, (column) => columnText(column, strings)),
        shownColumn(comparison, view) ?? '',
        (column) => this.look({ column }),
      )}
      ${select(
        strings.metric,
        same(metrics.includes(view.metric) ? metrics : [...metrics, view.metric], (name) =>
          name === 'score' ? strings.score : name,
        ),
        view.metric,
        (metric) => this.look({ metric }),
      )}
      ${select<View['at']>(
        strings.evaluation,
        [
          { value: 'best', label: strings.atBest },
          { value: 'last', label: strings.atLast },
        ],
        view.at,
        (at) => this.look({ at }),
      )}
      ${select<View['axis']>(
        strings.xAxis,
        [
          { value: 'parameters', label: strings.trainedParameters },
          { value: 'epsilon', label: strings.privacyLoss },
        ],
        view.axis,
        (axis) => this.look({ axis }),
      )}
      ${select<View['count']>(
        strings.count,
        [
          { value: 'total', label: strings.countTotal },
          { value: 'method', label: strings.countMethod },
          { value: 'head', label: strings.countHead },
        ],
        view.count,
        (count) => this.look({ count }),
      )}
      ${select<View['points']>(
        strings.points,
        [
          { value: 'means', label: strings.means },
          { value: 'runs', label: strings.singleRuns },
        ],
        view.points,
        (points) => this.look({ points }),
      )}
      ${
        hasPrivacy || view.facet === 'privacy'
          ? select<View['facet']>(
              strings.facet,
              [
                { value: 'none', label: strings.facetNone },
                { value: 'privacy', label: strings.facetPrivacy },
              ],
              view.facet,
              (facet) => this.look({ facet }),
            )
          : nothing
      }
    </div>`;
  }

  private symbol(mark: Mark | undefined): TemplateResult {
    return html`<svg
      class="series colour-${mark?.colour ?? 'blue'}"
      width="14"
      height="14"
      viewBox="-7 -7 14 14"
      aria-hidden="true"
    >
      ${svg`<path d=${mark?.path ?? ''} fill="currentColor" />`}
    </svg>`;
  }

  private methodCell(mark: Mark | undefined, label: string): TemplateResult {
    const shown = withoutUnseen(label);
    return html`<div class="method" title=${shown}>${this.symbol(mark)}<span>${shown}</span></div>`;
  }

  private legend(marks: ReadonlyMap<string, Mark>, strings: Strings): TemplateResult {
    return html`<ul class="legend" aria-label=${strings.legend}>
      ${[...marks].map(([method, mark]) => html`<li>${this.symbol(mark)}${withoutUnseen(method)}</li>`)}
      <li class="front-key">
        <svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
          ${svg`<circle r="4" fill="currentColor" />`}
        </svg>
        ${strings.front}
      </li>
      <li class="front-key">
        <svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
          ${svg`<circle r="4" fill="none" stroke="currentColor" stroke-width="1.5" />`}
        </svg>
        ${strings.dominated}
      </li>
    </ul>`;
  }

  private runName(run: PanelRun | undefined, id: string, strings: Strings): string {
    if (run === undefined) return id;
    const seed = run.seed === null ? '' : ` · ${strings.seed.toLowerCase()} ${run.seed}`;
    return withoutUnseen(run.name ?? id) + seed;
  }

  private runsToChoose({ label, runs }: Chosen, { model, strings, onOpen }: ComparePanelProperties): TemplateResult {
    const close = (): void => {
      this.chosen = undefined;
      this.opener?.shadowRoot?.querySelector<HTMLElement | SVGElement>('[data-current]')?.focus();
    };
    const title = fill(strings.runsOfPoint, { label, n: runsText(runs.length, strings) });
    // Runs of one configuration on several tasks may all have the same name.
    const isOfMany = new Set(runs.map(({ column }) => column)).size > 1;
    return html`<div
      class="chosen"
      role="group"
      aria-label=${title}
      @keydown=${(event: KeyboardEvent) => {
        if (event.key === 'Escape') close();
      }}
    >
      <strong>${title}</strong>
      <ul>
        ${runs.map(
          ({ column, run }) =>
            html`<li>
              <button class="link" @click=${() => onOpen?.(run)}>
                ${isOfMany ? `${withoutUnseen(columnText(column, strings))} · ` : ''}${this.runName(model.run(run), run, strings)}
              </button>
            </li>`,
        )}
        <li><button class="link quiet" @click=${close}>${strings.close}</button></li>
      </ul>
    </div>`;
  }

  private pointsTable(
    facets: readonly Facet[],
    marks: ReadonlyMap<string, Mark>,
    properties: ComparePanelProperties,
  ): TemplateResult {
    const { view, strings, formats, onOpen } = properties;
    const points = facets.flatMap((facet) => facet.points);
    return table<Point>({
      caption: strings.pointsCaption,
      rows: points,
      key: ({ key }) => key,
      sort: view.pointSort ?? { column: 'score', descending: true },
      onSort: (pointSort) => this.arrange({ pointSort }),
      ...(onOpen === undefined ? {} : { onOpen: (point) => this.openPoint(point) }),
      columns: [
        {
          id: 'method',
          title: strings.method,
          sortBy: ({ label }) => label,
          cell: ({ label, method }) => this.methodCell(marks.get(method), label),
          isHeader: true,
        },
        {
          id: 'place',
          title: view.axis === 'epsilon' ? strings.privacyLoss : strings.trainedParameters,
          isNumeric: true,
          sortBy: ({ place }) => (place.kind === 'value' ? place.value : view.axis === 'epsilon' ? Infinity : 0),
          cell: ({ place }) =>
            place.kind === 'apart'
              ? view.axis === 'epsilon'
                ? strings.noPrivacy
                : formats.integer(0)
              : Number.isInteger(place.value)
                ? formats.integer(place.value)
                : formats.number(place.value),
        },
        {
          id: 'score',
          title: view.metric === 'score' ? strings.score : view.metric,
          isNumeric: true,
          sortBy: ({ score }) => score,
          cell: (point) => pointScoreText({ ...point, n: 1 }, formats),
        },
        {
          id: 'front',
          title: strings.front,
          sortBy: ({ isOnFront }) => (isOnFront ? 0 : 1),
          cell: ({ isOnFront }) => (isOnFront ? strings.onFront : strings.dominated),
        },
        { id: 'runs', title: strings.n, isNumeric: true, sortBy: ({ n }) => n, cell: ({ n }) => formats.integer(n) },
      ],
    });
  }

  private mainTable(
    comparison: Comparison,
    marks: ReadonlyMap<string, Mark>,
    properties: ComparePanelProperties,
  ): TemplateResult {
    const { view, strings, formats, onOpen } = properties;
    const { rows, columns } = comparison;
    const hasEpsilon = rows.some(({ epsilon }) => epsilon !== null);
    const hasAverage = rows.some(({ average }) => average !== null);
    const averaged = averagedTasks(rows);
    const title = {
      method: strings.methodParameters,
      head: strings.headParameters,
      total: strings.trainedParameters,
    }[view.count];
    const tasks = columns.map((column, index): Column<ComparisonRow> => ({
      id: `task ${column}`,
      title: columnText(column, strings),
      isNumeric: true,
      sortBy: ({ cells }) => cells[index]?.summary.mean ?? null,
      cell: ({ cells }) => {
        const cell = cells[index];
        if (cell === null || cell === undefined) return strings.noValue;
        return html`<span class=${cell.place ?? ''}>${scoreText(cell.summary, formats)}${signsOf(cell)}</span>
          <span class="quiet">n=${cell.summary.n}</span>`;
      },
    }));
    const shown = shownColumn(comparison, view);
    return table<ComparisonRow>({
      caption: strings.tableCaption,
      rows,
      key: rowKey,
      ...(view.sort !== null
        ? { sort: view.sort }
        : shown !== undefined && columns.includes(shown)
          ? { sort: { column: `task ${shown}`, descending: true } }
          : {}),
      onSort: (sort) => this.arrange({ sort }),
      ...(onOpen === undefined
        ? {}
        : {
            onOpen: (row: ComparisonRow) => this.openRuns({ label: row.label, runs: runsOfRow(comparison, row) }),
          }),
      columns: [
        {
          id: 'method',
          title: strings.method,
          sortBy: ({ label }) => label,
          cell: (row) => this.methodCell(marks.get(methodOf(row)), row.label),
          isHeader: true,
        },
        {
          id: 'parameters',
          title,
          isNumeric: true,
          sortBy: ({ parameters }) => parameters?.[view.count].high ?? null,
          cell: ({ parameters }) => rangeText(parameters?.[view.count] ?? null, strings, formats),
        },
        ...(hasEpsilon
          ? [
              {
                id: 'epsilon',
                title: strings.epsilon,
                isNumeric: true,
                // No privacy is the greatest loss there is.
                sortBy: ({ epsilon }: ComparisonRow) => epsilon?.high ?? Infinity,
                cell: ({ epsilon }: ComparisonRow) =>
                  epsilon === null ? strings.noPrivacy : rangeText(epsilon, strings, formats),
              },
            ]
          : []),
        ...tasks,
        ...(hasAverage
          ? [
              {
                id: 'average',
                title: strings.average,
                isNumeric: true,
                // An average over easier tasks is none the better.
                sortBy: (row: ComparisonRow) =>
                  averagedTasks([row]) === averaged ? (row.average?.average ?? null) : null,
                cell: ({ average }: ComparisonRow) => {
                  if (average?.average === null || average === null) return strings.noValue;
                  const { tasks: known, missing } = average;
                  const of = fill(strings.averageOf, { n: known.length, total: known.length + missing.length });
                  return missing.length === 0
                    ? formats.percent(average.average)
                    : html`${formats.percent(average.average)} <span class="quiet">${of}</span>`;
                },
              },
            ]
          : []),
        {
          id: 'duration',
          title: strings.duration,
          isNumeric: true,
          sortBy: ({ trainSeconds }) => trainSeconds,
          cell: ({ trainSeconds }) => (trainSeconds === null ? strings.noValue : formats.duration(1000 * trainSeconds)),
        },
      ],
    });
  }

  private content(properties: ComparePanelProperties): TemplateResult {
    const { model, view, strings, formats, onOpen } = properties;
    const comparison = model.comparison(view);
    const notes = notesOf(comparison, strings, formats);
    if (comparison.rows.length === 0)
      return html`${model.runs().length > 0 && view.metric !== 'score' ? this.tools(comparison, properties) : nothing}
        <div class="empty">
          ${
            model.runs().length === 0 && model.scope()?.kind !== 'all'
              ? html`<p>${strings.comparisonGone}</p>`
              : html`<p>${strings.comparisonEmpty}</p>
                  <p>${strings.comparisonEmptyHint}</p>`
          }
        </div>
        ${this.notes(notes)}`;
    const facets = facetsOf(comparison, view);
    const marks = marksOf(comparison.rows.map(methodOf));
    const text = chartText(facets, view, strings, formats);
    const chart: ScatterModel = {
      facets,
      marks,
      view,
      strings,
      formats,
      text: text.join(' '),
      canOpen: onOpen !== undefined,
    };
    return html`${this.tools(comparison, properties)}
      <section>
        <header>
          <h2>
            ${fill(strings.chartTitle, {
              metric: view.metric === 'score' ? strings.score : view.metric,
              axis: (view.axis === 'epsilon' ? strings.privacyLoss : strings.trainedParameters).toLowerCase(),
            })}
          </h2>
          ${tableToggle(view.chartAsTable, () => this.look({ chartAsTable: !view.chartAsTable }), strings)}
        </header>
        ${
          view.chartAsTable
            ? this.pointsTable(facets, marks, properties)
            : html`${this.legend(marks, strings)} <peft-scatter-chart .model=${chart}></peft-scatter-chart>`
        }
        ${this.chosen === undefined ? nothing : this.runsToChoose(this.chosen, properties)}
        ${text.map((sentence) => html`<p class="quiet">${sentence}</p>`)}
      </section>
      <section>
        <header><h2>${strings.tableCaption}</h2></header>
        ${this.mainTable(comparison, marks, properties)} ${this.notes(notes)}
      </section>`;
  }

  private notes(notes: readonly string[]): TemplateResult {
    return html`<ul class="notes">
      ${notes.map((note) => html`<li>${note}</li>`)}
    </ul>`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { properties } = this;
    if (properties === undefined) return nothing;
    const { model, strings, formats, onExport, title, made } = properties;
    const trouble = model.trouble();
    const scope = model.scope();
    return html`<main>
      <header class="title">
        <div>
          <h1>${title ?? strings.comparison}</h1>
          <p class="quiet">${made ?? scopeText(scope, model.runs().length, strings, formats)}</p>
        </div>
        ${
          onExport === undefined
            ? nothing
            : html`<vscode-button secondary @click=${onExport}>${strings.exportComparison}</vscode-button>`
        }
      </header>
      ${
        trouble === undefined
          ? nothing
          : html`<p class="notice error" role="alert">${fill(strings.problem, { message: trouble.message })}</p>`
      }
      ${
        trouble !== undefined && model.runs().length === 0
          ? nothing
          : scope === undefined
            ? html`<p class="empty" role="status">${strings.loading}</p>`
            : this.content(properties)
      }
    </main>`;
  }
}

customElements.define('peft-compare-panel', ComparePanel);
