import '@vscode-elements/elements/dist/vscode-button/index.js';
import { html, LitElement, nothing, type TemplateResult } from 'lit';
import type { Comparison } from '../../analysis/comparison.ts';
import { withoutUnseen } from '../../base/plain-text.ts';
import { select, tableToggle, type Choice } from '../components/controls.ts';
import { keepFocus } from '../components/kept-focus.ts';
import { base, panel } from '../components/styles.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import { compareStyle } from './compare-style.ts';
import { methodsTable, pointsTable } from './compared-tables.ts';
import { marksOf } from './marks.ts';
import type { PanelRun, View } from './messages.ts';
import { legend } from './method-marks.ts';
import type { CompareModel } from './model.ts';
import {
  columnsOf,
  facetsOf,
  methodOf,
  metricsOf,
  runsOfRow,
  shownColumn,
  type ColumnRun,
  type Point,
} from './points.ts';
import { OpenPointEvent, type ScatterModel } from './scatter-chart.ts';
import { chartText, columnText, notesOf, runsText, scopeText } from './texts.ts';

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

  static override styles = [base, panel, compareStyle];

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
    keepFocus(this);
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
    const shared = { marks, view, strings, formats };
    const canOpen = onOpen !== undefined;
    const text = chartText(facets, view, strings, formats);
    const chart: ScatterModel = { ...shared, facets, text: text.join(' '), canOpen };
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
            ? pointsTable(
                facets.flatMap((facet) => facet.points),
                {
                  ...shared,
                  onSort: (pointSort) => this.arrange({ pointSort }),
                  onOpen: canOpen ? (point) => this.openPoint(point) : undefined,
                },
              )
            : html`${legend(marks, strings)} <peft-scatter-chart .model=${chart}></peft-scatter-chart>`
        }
        ${this.chosen === undefined ? nothing : this.runsToChoose(this.chosen, properties)}
        ${text.map((sentence) => html`<p class="quiet">${sentence}</p>`)}
      </section>
      <section>
        <header><h2>${strings.tableCaption}</h2></header>
        ${methodsTable(comparison, {
          ...shared,
          onSort: (sort) => this.arrange({ sort }),
          onOpen: canOpen ? (row) => this.openRuns({ label: row.label, runs: runsOfRow(comparison, row) }) : undefined,
        })}
        ${this.notes(notes)}
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
