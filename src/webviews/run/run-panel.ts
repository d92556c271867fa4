import '@vscode-elements/elements/dist/vscode-button/index.js';
import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { ref } from 'lit/directives/ref.js';
import { repeat } from 'lit/directives/repeat.js';
import { select } from '../components/controls.ts';
import { factList, factsStyle } from '../components/facts.ts';
import { icon } from '../components/icons.ts';
import { base, panel } from '../components/styles.ts';
import { table, type Column } from '../components/table.ts';
import type { Formats } from '../format.ts';
import type { RunCommand } from '../protocol.ts';
import { fill, type Strings } from '../strings.ts';
import { chartsOf } from './charts.ts';
import { AsTableEvent, ZoomEvent, type ChartModel } from './curve-chart.ts';
import { extentOf, type CurveData } from './curve-data.ts';
import type { Layout, Tab } from './layout.ts';
import type { Artifact, Evaluation, LogLine, Settings, Summary } from './messages.ts';
import type { RunModel } from './model.ts';
import './privacy-card.ts';
import type { PrivacyCardModel } from './privacy-card.ts';
import { factsOf, levelText, noCurvesText, noResultsText, progressOf, progressText, runTitle } from './texts.ts';

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

  static override styles = [
    base,
    panel,
    factsStyle,
    css`
      main {
        gap: 16px;
      }
      /* As wide as what they say, so that all of them fit beside one another above the charts. */
      dl.facts {
        display: flex;
        flex-wrap: wrap;
        gap: 12px 24px;
      }
      dl.facts > div {
        flex: 0 1 auto;
        max-width: 150px;
      }
      .about {
        display: flex;
        flex-wrap: wrap;
        gap: 2px 12px;
        overflow-wrap: anywhere;
      }
      .status {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 4px 12px;
      }
      .state {
        display: inline-flex;
        align-items: center;
        gap: 6px;
        font-weight: 600;
      }
      .state .icon {
        flex: none;
      }
      .state.running .icon,
      .state.starting .icon {
        color: var(--vscode-charts-blue);
      }
      .state.finished .icon {
        color: var(--vscode-charts-green);
      }
      .state.failed .icon {
        color: var(--vscode-editorError-foreground);
      }
      .state.interrupted .icon {
        color: var(--vscode-editorWarning-foreground);
      }
      .state.queued .icon,
      .state.stopped .icon {
        color: var(--vscode-descriptionForeground);
      }
      .bar {
        flex: 1 1 8em;
        min-width: 6em;
        max-width: 28em;
        height: 4px;
        border-radius: 2px;
        background: var(--vscode-editorWidget-border, var(--vscode-widget-border, transparent));
        overflow: hidden;
      }
      .bar > div {
        height: 100%;
        background: var(--vscode-progressBar-background);
      }
      :host-context(body.vscode-high-contrast) .bar,
      :host-context(body.vscode-high-contrast-light) .bar {
        background: transparent;
        border: 1px solid var(--vscode-contrastBorder);
        height: 6px;
      }
      .tags {
        display: flex;
        flex-wrap: wrap;
        gap: 4px;
        margin: 0;
        padding: 0;
        list-style: none;
      }
      .tags li {
        padding: 1px 6px;
        border: 1px solid var(--vscode-contrastBorder, transparent);
        border-radius: 10px;
        background: var(--vscode-badge-background);
        color: var(--vscode-badge-foreground);
        font-size: 0.85em;
        overflow-wrap: anywhere;
      }
      .note {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      [role='tablist'] {
        display: flex;
        overflow-x: auto;
        box-shadow: inset 0 -1px 0 var(--vscode-widget-border, var(--vscode-panel-border, transparent));
      }
      [role='tab'] {
        padding: 6px 0;
        margin-right: 20px;
        border: 0;
        border-bottom: 2px solid transparent;
        background: none;
        color: var(--vscode-panelTitle-inactiveForeground, var(--vscode-descriptionForeground));
        font: inherit;
        white-space: nowrap;
        cursor: pointer;
      }
      [role='tab'][aria-selected='true'] {
        border-bottom-color: var(--vscode-panelTitle-activeBorder, var(--vscode-focusBorder));
        color: var(--vscode-panelTitle-activeForeground, var(--vscode-foreground));
      }
      [role='tab']:hover {
        color: var(--vscode-panelTitle-activeForeground, var(--vscode-foreground));
      }
      [role='tab']:focus-visible {
        outline-offset: -1px;
      }
      .tools {
        align-items: flex-end;
        gap: 12px 20px;
        margin-bottom: 16px;
      }
      .tools vscode-single-select {
        width: 11em;
      }
      input[type='range'] {
        width: 11em;
        height: 26px;
        margin: 0;
        accent-color: var(--vscode-progressBar-background);
      }
      .charts {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr));
        gap: 24px 28px;
      }
      .log {
        max-height: min(70vh, 640px);
        margin: 0;
        padding: 8px 0;
        overflow: auto;
        border: 1px solid var(--vscode-widget-border, var(--vscode-panel-border, transparent));
        border-radius: 4px;
        font-family: var(--vscode-editor-font-family);
        font-size: var(--vscode-editor-font-size);
        list-style: none;
      }
      .log li {
        display: grid;
        grid-template-columns: auto 1fr;
        gap: 12px;
        padding: 1px 12px;
      }
      .log time {
        color: var(--vscode-descriptionForeground);
        white-space: nowrap;
      }
      .log span {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
        min-width: 0;
      }
      .log .warning b {
        color: var(--vscode-editorWarning-foreground);
      }
      .log .error b {
        color: var(--vscode-editorError-foreground);
      }
      .below {
        display: flex;
        gap: 12px;
        margin-top: 8px;
      }
      @media (max-width: 480px) {
        .log li {
          grid-template-columns: 1fr;
          gap: 0;
          margin-bottom: 4px;
        }
      }
    `,
  ];

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

  private command(command: RunCommand, label: string, isPrimary = false): TemplateResult {
    return html`<vscode-button ?secondary=${!isPrimary} @click=${() => this.properties?.onCommand(command)}
      >${label}</vscode-button
    >`;
  }

  private buttons(summary: Summary, strings: Strings): TemplateResult {
    const { state, canStart, isUnseen } = summary;
    const isActive = state === 'queued' || state === 'starting' || state === 'running';
    const canResume = state === 'stopped' || state === 'interrupted' || state === 'failed';
    return html`<div class="buttons" role="toolbar" aria-label=${strings.actions}>
      ${isActive ? this.command('stop', strings.stop) : nothing}
      ${(canResume || (isUnseen && isActive)) && canStart ? this.command('resume', strings.resume, canResume) : nothing}
      ${canStart ? this.command('clone', strings.clone) : nothing} ${this.command('reveal', strings.reveal)}
    </div>`;
  }

  private header(summary: Summary, { strings, formats }: RunPanelProperties): TemplateResult {
    const { state, failure, tags, note } = summary;
    const progress = progressOf(summary);
    const about = [
      summary.name === null ? null : [summary.method, summary.task].filter((part) => part !== null).join(' · '),
      summary.model,
      summary.seed === null ? null : `${strings.seed.toLowerCase()} ${summary.seed}`,
      summary.id,
    ].filter((part) => part !== null && part !== '');
    const moments = [
      ...(summary.startedAt === null
        ? []
        : [`${strings.created} ${formats.moment(summary.createdAt ?? summary.startedAt)}`]),
      ...(summary.segments > 1 ? [fill(strings.resumed, { n: summary.segments })] : []),
    ];
    return html`<header class="title">
        <div>
          <h1>
            ${summary.starred ? html`${icon('star')}<span class="hidden-visually">${strings.starred}</span> ` : nothing}${runTitle(summary, strings)}
          </h1>
          <p class="about quiet">${about.map((part) => html`<span>${part}</span>`)}</p>
        </div>
        ${this.buttons(summary, strings)}
      </header>
      <div class="status">
        <span class="state ${state}" role="status">${icon(state)}${strings[state]}</span>
        ${
          progress === null || !(state === 'running' || state === 'starting' || state === 'queued')
            ? nothing
            : html`<div
                class="bar"
                role="progressbar"
                aria-label=${strings.progress}
                aria-valuemin="0"
                aria-valuemax="100"
                aria-valuenow=${Math.round(100 * progress)}
              >
                <div
                  ${ref((element) => {
                    if (element instanceof HTMLElement) element.style.width = `${100 * progress}%`;
                  })}
                ></div>
              </div>`
        }
        <span class="number">${progressText(summary, strings, formats)}</span>
        <span class="quiet">${moments.join(' · ')}</span>
      </div>
      ${
        failure === null || failure.message === null
          ? nothing
          : html`<p class="notice ${state === 'failed' ? 'error' : 'warning'}" role="alert">${failure.message}</p>`
      }
      ${
        summary.diagnostics.length === 0
          ? nothing
          : html`<p class="notice warning">
              ${fill(strings.diagnostics, { n: summary.diagnostics.length })}
              ${summary.diagnostics
                .slice(0, 3)
                .map(({ file, position, problem }) => `${file}:${position}: ${problem}`)
                .join('\n')}
            </p>`
      }
      ${
        tags.length === 0
          ? nothing
          : html`<ul class="tags" aria-label=${strings.tags}>
              ${tags.map((tag) => html`<li>${tag}</li>`)}
            </ul>`
      }
      ${note === '' ? nothing : html`<p class="note">${note}</p>`} ${factList(factsOf(summary, strings, formats))}`;
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
    const plans = chartsOf(names.names, strings);
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
              zoom: this.zoom,
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
    const splits = new Set(rows.map(({ split }) => split));
    const best = rows.findLast((row) => row.best);
    const metrics = [...new Set(rows.flatMap((row) => Object.keys(row.metrics)))];
    const numeric = (
      id: string,
      title: string,
      value: (row: Evaluation) => number | null | undefined,
      text: (value: number) => string = formats.number,
    ): Column<Evaluation> => ({
      id,
      title,
      isNumeric: true,
      sortBy: (row) => value(row) ?? null,
      cell: (row) => {
        const found = value(row);
        return found === null || found === undefined ? strings.noValue : text(found);
      },
    });
    return table<Evaluation>({
      caption: strings.results,
      rows,
      key: ({ step, split }) => `${step} ${split}`,
      columns: [
        numeric('epoch', strings.epoch, ({ epoch }) => epoch),
        numeric('step', strings.step, ({ step }) => step, formats.integer),
        ...(splits.size > 1
          ? [
              {
                id: 'split',
                title: strings.split,
                sortBy: (row: Evaluation) => row.split,
                cell: (row: Evaluation) => row.split,
              },
            ]
          : []),
        ...metrics.map((name) => ({
          ...numeric(`metric ${name}`, name, ({ metrics: found }) => found[name]),
          cell: (row: Evaluation) => {
            const value = row.metrics[name];
            const text = value === null || value === undefined ? strings.noValue : formats.number(value);
            return name === 'score' && row === best
              ? html`<span class="best">${text}<span class="hidden-visually"> ${strings.bestMark}</span></span>`
              : text;
          },
        })),
        numeric('loss', strings.loss, ({ loss }) => loss),
        numeric('examples', strings.examples, ({ examples }) => examples, formats.integer),
        numeric('seconds', strings.seconds, ({ seconds }) => seconds),
      ],
    });
  }

  private settingsTab(caption: string, rows: Settings, { strings }: RunPanelProperties): TemplateResult {
    if (rows.length === 0) return html`<p class="empty">${strings.noValue}</p>`;
    return table<Settings[number]>({
      caption,
      rows,
      key: ({ path }) => path,
      columns: [
        { id: 'path', title: strings.setting, sortBy: ({ path }) => path, cell: ({ path }) => path },
        {
          id: 'value',
          title: strings.value,
          sortBy: ({ value }) => value,
          cell: ({ value }) => value,
          className: 'wraps mono',
        },
      ],
    });
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
          : html`<ol
              class="log"
              tabindex="0"
              role="log"
              aria-label=${strings.log}
              ${ref(this.keepLog)}
              @scroll=${scroll}
            >
              ${repeat(
                lines,
                ({ segment, seq }) => `${segment} ${seq}`,
                (line: LogLine) =>
                  html`<li class=${line.level === 'error' || line.level === 'warning' ? line.level : 'info'}>
                    <time>${formats.clock(line.time)}</time>
                    <span><b>${levelText(line.level, strings)}</b>${line.message}</span>
                  </li>`,
              )}
            </ol>`
      }
      <div class="below">
        <button class="link" @click=${() => onCommand('logs')}>${strings.showLogs}</button>
      </div>`;
  }

  private readonly keepLog = (element: Element | undefined): void => {
    this.logElement = element instanceof HTMLElement ? element : undefined;
  };

  private artifactsTab({ model, strings, formats, onReveal }: RunPanelProperties): TemplateResult {
    const rows = model.artifacts();
    if (rows.length === 0) return html`<p class="empty">${strings.noArtifacts}</p>`;
    return table<Artifact>({
      caption: strings.artifacts,
      rows,
      key: ({ path }) => path,
      onOpen: ({ path }) => onReveal(path),
      columns: [
        {
          id: 'path',
          title: strings.file,
          sortBy: ({ path }) => path,
          cell: ({ path }) =>
            html`<button
              class="link"
              tabindex="-1"
              title=${fill(strings.revealFile, { file: path })}
              @click=${() => onReveal(path)}
            >
              ${path}
            </button>`,
        },
        {
          id: 'checkpoint',
          title: strings.checkpoint,
          sortBy: ({ step }) => step,
          cell: ({ kind, step }) =>
            kind === null
              ? ''
              : `${kind}${step === null ? '' : ` ${fill(strings.at, { step: formats.integer(step) })}`}`,
        },
        {
          id: 'bytes',
          title: strings.bytes,
          isNumeric: true,
          sortBy: ({ bytes }) => bytes,
          cell: ({ bytes }) => formats.bytes(bytes),
        },
      ],
    });
  }

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
    const { model, strings, onCommand } = properties;
    switch (this.shownTab()) {
      case 'curves':
        return this.curvesTab(properties);
      case 'results':
        return this.resultsTab(properties);
      case 'privacy':
        return this.privacyTab(properties);
      case 'configuration':
        return html`${this.settingsTab(strings.configuration, model.configuration(), properties)}
          <div class="below">
            <button class="link" @click=${() => onCommand('configuration')}>${strings.configurationFile}</button>
          </div>`;
      case 'environment':
        return this.settingsTab(strings.environment, model.environment(), properties);
      case 'log':
        return this.logTab(properties);
      case 'artifacts':
        return this.artifactsTab(properties);
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
      ${notice} ${this.header(summary, properties)} ${this.tabBar(properties)}
      <section role="tabpanel" id="panel-${this.shownTab()}" aria-labelledby="tab-${this.shownTab()}">
        ${this.chosenTab(properties)}
      </section>
    </main>`;
  }
}

customElements.define('peft-run-panel', RunPanel);
