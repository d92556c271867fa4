import '@vscode-elements/elements/dist/vscode-button/index.js';
import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { ref } from 'lit/directives/ref.js';
import { repeat } from 'lit/directives/repeat.js';
import { select } from '../components/controls.ts';
import { factsStyle } from '../components/facts.ts';
import { keepFocus } from '../components/kept-focus.ts';
import { base, panel } from '../components/styles.ts';
import type { Formats } from '../format.ts';
import type { RunCommand } from '../protocol.ts';
import { fill, type Strings } from '../strings.ts';
import { artifactsTable } from './artifacts-table.ts';
import { chartsOf } from './charts.ts';
import { AsTableEvent, ZoomEvent, type ChartModel } from './curve-chart.ts';
import { extentOf, type CurveData } from './curve-data.ts';
import type { Layout, Tab } from './layout.ts';
import type { LogLine, Summary } from './messages.ts';
import type { RunModel } from './model.ts';
import './privacy-card.ts';
import type { PrivacyCardModel } from './privacy-card.ts';
import { resultsTable } from './results-table.ts';
import { runHeader } from './run-header.ts';
import { runStyle } from './run-style.ts';
import { settingsTable } from './settings-table.ts';
import { levelText, noCurvesText, noResultsText } from './texts.ts';

/** What the panel is given; `revision` tells it that the model has changed. */
export interface RunPanelProperties {
  readonly model: RunModel;
  readonly strings: Strings;
  readonly formats: Formats;
  readonly layout: Layout;
  readonly onLayout: (layout: Layout) => void;
  readonly onCommand: (command: RunCommand) => void;
  readonly onReveal: (path: string) => void;
}

const tabs: readonly Tab[] = ['curves', 'results', 'privacy', 'configuration', 'environment', 'log', 'artifacts'];

/** The tabs that a run has: privacy is no matter of runs that are not private. */
function tabsOf(summary: Summary | undefined): readonly Tab[] {
  return summary?.isPrivate === true ? tabs : tabs.filter((tab) => tab !== 'privacy');
}

interface Zoom {
  readonly from: number;
  readonly to: number;
  readonly curves: ReadonlyMap<string, CurveData>;
}

/** Everything about one run. */
export class RunPanel extends LitElement {
  static override properties = {
    properties: { attribute: false },
    revision: { type: Number },
    zoom: { state: true },
    follows: { state: true },
  };

  static override styles = [base, panel, factsStyle, runStyle];

  declare properties: RunPanelProperties | undefined;
  declare revision: number;
  declare private zoom: Zoom | null;
  declare private follows: boolean;
  private logElement: HTMLElement | undefined;
  private zoomCount = 0;

  constructor() {
    super();
    this.properties = undefined;
    this.revision = 0;
    this.zoom = null;
    this.follows = true;
    keepFocus(this);
    this.addEventListener('peft-zoom', (event) => {
      if (event instanceof ZoomEvent) void this.lookCloser(event.steps);
    });
    this.addEventListener('peft-as-table', (event) => {
      if (event instanceof AsTableEvent) this.toggleTable(event.chart);
    });
  }

  private arrange(change: Partial<Layout>): void {
    const { properties } = this;
    if (properties === undefined) return;
    const layout = { ...properties.layout, ...change };
    this.properties = { ...properties, layout };
    properties.onLayout(layout);
  }

  private toggleTable(chart: string): void {
    const { tables = [] } = this.properties?.layout ?? {};
    this.arrange({ tables: tables.includes(chart) ? tables.filter((id) => id !== chart) : [...tables, chart] });
  }

  private async lookCloser(steps: ZoomEvent['steps']): Promise<void> {
    this.zoomCount += 1;
    const asked = this.zoomCount;
    const model = this.properties?.model;
    if (steps === null || model === undefined) {
      this.zoom = null;
      return;
    }
    const curves = await model.closer(model.curveNames()?.names ?? [], steps.from, steps.to);
    if (asked === this.zoomCount) this.zoom = { ...steps, curves };
  }

  protected override updated(_: PropertyValues): void {
    if (this.follows && this.logElement !== undefined) this.logElement.scrollTop = this.logElement.scrollHeight;
  }

  /** The tab that was chosen, where this run has it. */
  private shownTab(): Tab {
    const { layout, model } = this.properties ?? {};
    const chosen = layout?.tab ?? 'curves';
    return tabsOf(model?.summary()).includes(chosen) ? chosen : 'curves';
  }

  private onTabKey(event: KeyboardEvent): void {
    const own = tabsOf(this.properties?.model.summary());
    const now = own.indexOf(this.shownTab());
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const next =
      step !== undefined
        ? (now + step + own.length) % own.length
        : event.key === 'Home'
          ? 0
          : event.key === 'End'
            ? own.length - 1
            : undefined;
    const tab = next === undefined ? undefined : own[next];
    if (tab === undefined) return;
    event.preventDefault();
    this.arrange({ tab });
    void this.updateComplete.then(() => {
      this.renderRoot.querySelector<HTMLElement>('[role="tab"][aria-selected="true"]')?.focus();
    });
  }

  private tabBar({ model, strings }: RunPanelProperties): TemplateResult {
    return html`<div
      role="tablist"
      aria-label=${strings.run}
      @keydown=${(event: KeyboardEvent) => this.onTabKey(event)}
    >
      ${tabsOf(model.summary()).map((tab) => {
        const isChosen = tab === this.shownTab();
        return html`<button
          role="tab"
          id="tab-${tab}"
          aria-controls="panel-${tab}"
          aria-selected=${isChosen}
          tabindex=${isChosen ? 0 : -1}
          @click=${() => this.arrange({ tab })}
        >
          ${strings[tab]}
        </button>`;
      })}
    </div>`;
  }

  private curvesTab({ model, strings, formats, layout }: RunPanelProperties): TemplateResult {
    const names = model.curveNames();
    const summary = model.summary();
    if (summary !== undefined && (names === undefined || names.names.length === 0))
      return html`<p class="empty">${noCurvesText(summary, strings)}</p>`;
    if (names === undefined) return html``;
    const isPrivate = summary?.isPrivate === true;
    const plans = chartsOf(names.names, strings, { isPrivate });
    const curves = this.zoom?.curves ?? model.curves();
    const extent = extentOf(curves.values(), layout.axis, names.startedAt);
    const smoothing = (event: Event): void => {
      const value = Number((event.target as HTMLInputElement).value);
      this.arrange({ smoothing: value });
      model.setSmoothing(value);
    };
    return html`<div class="tools">
        ${select(
          strings.xAxis,
          [
            { value: 'step', label: strings.step },
            { value: 'epoch', label: strings.epoch },
            { value: 'time', label: strings.xAxisTime },
          ],
          layout.axis,
          (axis) => this.arrange({ axis }),
        )}
        <label class="field">
          <span>${strings.smoothing} ${formats.number(layout.smoothing)}</span>
          <input
            type="range"
            min="0"
            max="0.99"
            step="0.01"
            aria-label=${strings.smoothing}
            .value=${String(layout.smoothing)}
            @change=${smoothing}
            @input=${smoothing}
          />
        </label>
        ${
          this.zoom === null
            ? nothing
            : html`<vscode-button secondary @click=${() => void this.lookCloser(null)}
                >${strings.resetZoom}</vscode-button
              >`
        }
      </div>
      ${isPrivate ? html`<p class="quiet">${strings.lossNotCovered}</p>` : nothing}
      <div class="charts">
        ${repeat(
          plans,
          ({ id }) => id,
          (plan) => {
            const chart: ChartModel = {
              plan,
              curves,
              extent,
              axis: layout.axis,
              startedAt: names.startedAt,
              strings,
              formats,
              asTable: layout.tables.includes(plan.id),
              canZoom: true,
            };
            return html`<peft-curve-chart .model=${chart}></peft-curve-chart>`;
          },
        )}
      </div>`;
  }

  private resultsTab({ model, strings, formats }: RunPanelProperties): TemplateResult {
    const rows = model.evaluations();
    const summary = model.summary();
    if (rows.length === 0 && summary !== undefined)
      return html`<p class="empty">${noResultsText(summary, strings)}</p>`;
    const results = resultsTable(rows, strings, formats);
    return summary?.isPrivate === true
      ? html`<p class="quiet">${strings.evaluationsNotCovered}</p>
          ${results}`
      : results;
  }

  private logTab({ model, strings, formats, onCommand }: RunPanelProperties): TemplateResult {
    const lines = model.log();
    const scroll = (event: Event): void => {
      const { scrollTop, scrollHeight, clientHeight } = event.target as HTMLElement;
      this.follows = scrollHeight - scrollTop - clientHeight < 24;
    };
    return html`${
        lines.length === 0
          ? html`<p class="empty">${strings.logEmpty}</p>`
          : html`<div
              class="log"
              tabindex="0"
              role="log"
              aria-label=${strings.log}
              ${ref(this.keepLog)}
              @scroll=${scroll}
            >
              <ol>
                ${repeat(
                  lines,
                  ({ segment, seq }) => `${segment} ${seq}`,
                  (line: LogLine) =>
                    html`<li class=${line.level === 'error' || line.level === 'warning' ? line.level : 'info'}>
                      <time>${formats.clock(line.time)}</time>
                      <span><b>${levelText(line.level, strings)}</b>${line.message}</span>
                    </li>`,
                )}
              </ol>
            </div>`
      }
      <div class="below">
        <button class="link" @click=${() => onCommand('logs')}>${strings.showLogs}</button>
      </div>`;
  }

  private readonly keepLog = (element: Element | undefined): void => {
    this.logElement = element instanceof HTMLElement ? element : undefined;
  };

  private privacyTab({ model, strings, formats, layout }: RunPanelProperties): TemplateResult {
    const summary = model.summary();
    // Epsilon grows with each epoch, and with what is released again; whether it is asked for more often shows nothing.
    model.privacy.look(JSON.stringify([summary?.state, summary?.segments, summary?.epsilon]));
    const card: PrivacyCardModel = {
      privacy: model.privacy,
      strings,
      formats,
      tables: layout.tables,
      onTable: (chart) => this.toggleTable(chart),
    };
    return html`<peft-privacy-card .model=${card}></peft-privacy-card>`;
  }

  private chosenTab(properties: RunPanelProperties): TemplateResult {
    const { model, strings, formats, onCommand, onReveal } = properties;
    switch (this.shownTab()) {
      case 'curves':
        return this.curvesTab(properties);
      case 'results':
        return this.resultsTab(properties);
      case 'privacy':
        return this.privacyTab(properties);
      case 'configuration':
        return html`${settingsTable(strings.configuration, model.configuration(), strings)}
          <div class="below">
            <button class="link" @click=${() => onCommand('configuration')}>${strings.configurationFile}</button>
          </div>`;
      case 'environment':
        return settingsTable(strings.environment, model.environment(), strings);
      case 'log':
        return this.logTab(properties);
      case 'artifacts':
        return artifactsTable(model.artifacts(), strings, formats, onReveal);
    }
  }

  protected override render(): TemplateResult | typeof nothing {
    const { properties } = this;
    if (properties === undefined) return nothing;
    const { model, strings } = properties;
    const trouble = model.trouble();
    const summary = model.summary();
    if (trouble?.kind === 'gone')
      return html`<main>
        <h1>${strings.run}</h1>
        <p class="notice warning" role="alert">${strings.goneRun}</p>
      </main>`;
    const notice =
      trouble === undefined
        ? nothing
        : html`<p class="notice error" role="alert">${fill(strings.problem, { message: trouble.message })}</p>`;
    if (summary === undefined)
      return html`<main>
        <h1>${strings.run}</h1>
        ${notice === nothing ? html`<p class="empty" role="status">${strings.loading}</p>` : notice}
      </main>`;
    return html`<main>
      ${notice} ${runHeader(summary, strings, properties.formats, properties.onCommand)} ${this.tabBar(properties)}
      <section role="tabpanel" id="panel-${this.shownTab()}" aria-labelledby="tab-${this.shownTab()}">
        ${this.chosenTab(properties)}
      </section>
    </main>`;
  }
}

customElements.define('peft-run-panel', RunPanel);
