import { css, html, LitElement, nothing, unsafeCSS, type PropertyValues, type TemplateResult } from 'lit';
import { ref } from 'lit/directives/ref.js';
import uPlot from 'uplot';
import uPlotStyle from 'uplot/dist/uPlot.min.css';
import { seriesColours } from '../compare/marks.ts';
import { chartFrame, chartFrameStyle } from '../components/chart-frame.ts';
import { base } from '../components/styles.ts';
import { table } from '../components/table.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import { onThemeChange, themeColour } from '../theme.ts';
import type { ChartPlan, Series } from './charts.ts';
import { placesOf, type Axis, type CurveData } from './curve-data.ts';
import { chartNumber, chartText, tickTexts } from './texts.ts';

/** What a chart shows. */
export interface ChartModel {
  readonly plan: ChartPlan;
  readonly curves: ReadonlyMap<string, CurveData>;
  readonly axis: Axis;
  readonly startedAt: number | null;
  readonly strings: Strings;
  readonly formats: Formats;
  readonly asTable: boolean;
  /** The part of the horizontal axis that all charts of the run show. */
  readonly extent: readonly [low: number, high: number] | null;
  /** Whether a part of it can be looked at closer. */
  readonly canZoom: boolean;
}

/** The user wants to see a part of the horizontal axis: the steps in it, or null to see all again. */
export class ZoomEvent extends Event {
  readonly steps: { readonly from: number; readonly to: number } | null;
  constructor(steps: ZoomEvent['steps']) {
    super('peft-zoom', { bubbles: true, composed: true });
    this.steps = steps;
  }
}

export class AsTableEvent extends Event {
  readonly chart: string;
  constructor(chart: string) {
    super('peft-as-table', { bubbles: true, composed: true });
    this.chart = chart;
  }
}

const height = 212;
const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
const together = uPlot.sync('peft-run');

interface Drawn {
  readonly series: Series;
  readonly data: CurveData;
  readonly colour: string;
  readonly dash: number[];
}

/** One chart with its legend, its text for screen readers, and its table. */
export class CurveChart extends LitElement {
  static override properties = { model: { attribute: false }, cursor: { state: true } };

  static override styles = [
    base,
    unsafeCSS(uPlotStyle),
    chartFrameStyle,
    css`
      header h2 {
        overflow-wrap: anywhere;
      }
      .plot {
        position: relative;
        height: ${height}px;
      }
      .uplot {
        font: inherit;
      }
      .u-select {
        background: var(--vscode-editor-selectionBackground);
        opacity: 0.5;
      }
      .u-hz .u-cursor-x,
      .u-hz .u-cursor-y {
        border-color: var(--vscode-descriptionForeground);
      }
      .readings svg {
        flex: none;
        color: var(--series);
      }
    `,
  ];

  declare model: ChartModel | undefined;
  /** The index in `places` that the cursor is at. */
  declare private cursor: number | null;
  /** The place that the keyboard has read, which the cursor keeps until the pointer takes it. */
  private reading: number | null = null;
  private plot: uPlot | undefined;
  private target: HTMLElement | undefined;
  private observer: ResizeObserver | undefined;
  private endTheme: (() => void) | undefined;
  private drawn: readonly Drawn[] = [];
  private places: readonly number[] = [];
  private shape = '';

  constructor() {
    super();
    this.model = undefined;
    this.cursor = null;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.endTheme = onThemeChange(() => this.rebuild());
    this.observer = new ResizeObserver(() =>
      requestAnimationFrame(() => {
        const width = this.target?.clientWidth ?? 0;
        if (width > 0 && this.plot !== undefined && this.plot.width !== width) this.plot.setSize({ width, height });
        else if (width > 0 && this.plot === undefined) this.requestUpdate();
      }),
    );
    if (this.target !== undefined) this.observer.observe(this.target);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.endTheme?.();
    this.observer?.disconnect();
    this.destroy();
  }

  private destroy(): void {
    this.plot?.destroy();
    this.plot = undefined;
    this.shape = '';
  }

  private rebuild(): void {
    this.destroy();
    this.requestUpdate();
  }

  private readonly takeTarget = (element: Element | undefined): void => {
    if (element === this.target) return;
    if (this.target !== undefined) this.observer?.unobserve(this.target);
    this.destroy();
    this.target = element instanceof HTMLElement ? element : undefined;
    if (this.target !== undefined) this.observer?.observe(this.target);
  };

  protected override willUpdate(changed: PropertyValues): void {
    const { model } = this;
    if (model === undefined || !changed.has('model')) return;
    const before = changed.get('model') as ChartModel | undefined;
    if (before !== undefined && before.axis !== model.axis) this.forgetCursor();
    this.drawn = model.plan.series.flatMap((series, index) => {
      const data = model.curves.get(series.metric);
      if (data === undefined || data.value.length === 0) return [];
      const colour = seriesColours[index % seriesColours.length] ?? 'blue';
      return [{ series, data, colour, dash: dashes[index % dashes.length] ?? [] }];
    });
  }

  protected override updated(changed: PropertyValues): void {
    const { model, target } = this;
    if (model === undefined || model.asTable || target === undefined || target.clientWidth === 0) return;
    if (!changed.has('model') && this.plot !== undefined) return;
    if (this.drawn.length === 0) {
      this.destroy();
      return;
    }
    const data = this.join(model);
    // What the chart is made of; new numbers alone are only handed over.
    const shape = JSON.stringify([
      model.axis,
      model.plan,
      this.drawn.map(({ series, data: { smoothed } }) => [series.metric, smoothed !== undefined]),
    ]);
    if (this.plot === undefined || shape !== this.shape) {
      this.destroy();
      this.shape = shape;
      this.plot = new uPlot(this.options(model, target.clientWidth), data, target);
    } else {
      this.plot.setData(data, true);
    }
    const { plot } = this;
    // uPlot sets its scales in a microtask of its own.
    queueMicrotask(() => this.followReading(plot));
  }

  private forgetCursor(): void {
    this.cursor = null;
    this.reading = null;
  }

  /** The curves over one axis; with a smoothed line each gives two, the raw one first. */
  private join(model: ChartModel): uPlot.AlignedData {
    const tables = this.drawn.map(({ data }): uPlot.AlignedData => {
      const x = [...placesOf(data, model.axis, model.startedAt)];
      const gap = (values: readonly number[]): (number | null)[] =>
        values.map((value) => (Number.isFinite(value) ? value : null));
      return data.smoothed === undefined ? [x, gap(data.value)] : [x, gap(data.value), gap(data.smoothed.value)];
    });
    const [only] = tables;
    const joined: uPlot.AlignedData = only !== undefined && tables.length === 1 ? only : uPlot.join(tables);
    this.places = [...(joined[0] as readonly number[])];
    return joined;
  }

  /** Puts the cursor back to where it was read: other points are there now, and the axis may have other ends. */
  private followReading(plot: uPlot): void {
    const { reading } = this;
    if (reading === null || this.plot !== plot) return;
    this.showCursor(
      plot,
      Math.max(
        0,
        this.places.findLastIndex((place) => place <= reading),
      ),
    );
  }

  private showCursor(plot: uPlot, index: number): void {
    this.cursor = index;
    plot.setCursor({ left: plot.valToPos(this.places[index] ?? 0, 'x'), top: height / 3 });
  }

  private options(model: ChartModel, width: number): uPlot.Options {
    const { formats, plan, axis } = model;
    const font = `11px ${themeColour('--vscode-font-family')}`;
    const grid = {
      stroke: () => `color-mix(in srgb, ${themeColour('--vscode-foreground')} 14%, transparent)`,
      width: 1,
    };
    const ink = (): string => themeColour('--vscode-descriptionForeground');
    const series = this.drawn.flatMap(({ data, colour, dash, series: { isEvaluation } }): uPlot.Series[] => {
      const stroke = themeColour(`--vscode-charts-${colour}`);
      const hasAverage = data.smoothed !== undefined;
      const raw: uPlot.Series = {
        stroke,
        width: hasAverage ? 1 : 1.5,
        alpha: hasAverage ? 0.25 : 1,
        dash,
        points: { show: data.value.length <= (isEvaluation ? 200 : 40) && !hasAverage, size: 5, fill: stroke },
        spanGaps: false,
      };
      return hasAverage ? [raw, { stroke, width: 2, dash, points: { show: false } }] : [raw];
    });
    return {
      width,
      height,
      legend: { show: false },
      cursor: {
        sync: { key: together.key, setSeries: false },
        drag: { x: model.canZoom, y: false, setScale: false },
        points: { size: 6 },
      },
      scales: {
        x: { time: false, range: (_, low, high) => [...(this.model?.extent ?? [low, high])] },
        y: { range: (_, low, high) => paddedRange(low, high) },
      },
      axes: [
        {
          stroke: ink,
          grid,
          ticks: { show: false },
          font,
          size: 26,
          gap: 4,
          space: 64,
          label: this.axisTitle(model),
          labelFont: font,
          labelSize: 14,
          labelGap: -4,
          ...(axis === 'time' ? { incrs: timeIncrements } : axis === 'step' ? { incrs: wholeIncrements } : {}),
          values: (_, splits) => splits.map((value) => this.placeText(value, axis, formats, true)),
        },
        {
          stroke: ink,
          grid,
          ticks: { show: false },
          font,
          size: (plot, values, index) => widthOf(plot, values, index, plan.unit === 'bytes' ? 68 : 56),
          gap: 6,
          values: (_, splits) =>
            plan.unit === 'bytes' ? splits.map((value) => formats.bytes(value)) : [...tickTexts(splits, formats)],
        },
      ],
      series: [{}, ...series],
      hooks: {
        setCursor: [
          (plot) => {
            if (this.reading === null) this.cursor = plot.cursor.idx ?? null;
          },
        ],
        setSelect: [
          (plot) => {
            const { left, width: chosen } = plot.select;
            if (chosen < 4) return;
            const steps = this.stepsBetween(plot.posToVal(left, 'x'), plot.posToVal(left + chosen, 'x'));
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            if (steps !== null) this.dispatchEvent(new ZoomEvent(steps));
          },
        ],
        ready: [
          (plot) => {
            plot.over.addEventListener('pointermove', () => {
              this.reading = null;
            });
            if (model.canZoom) plot.over.addEventListener('dblclick', () => this.dispatchEvent(new ZoomEvent(null)));
          },
        ],
      },
    };
  }

  /** The first and last step whose place lies between two places. */
  private stepsBetween(low: number, high: number): { readonly from: number; readonly to: number } | null {
    const { model } = this;
    if (model === undefined) return null;
    const inside = this.drawn.flatMap(({ data }) => {
      const places = placesOf(data, model.axis, model.startedAt);
      return data.step.filter((_, index) => {
        const place = places[index] ?? NaN;
        return place >= low && place <= high;
      });
    });
    const [from, to] = [Math.min(...inside), Math.max(...inside)];
    return inside.length > 1 && to > from ? { from, to } : null;
  }

  private placeText(place: number, axis: Axis, formats: Formats, isShort = false): string {
    if (axis === 'time') return formats.duration(place);
    if (axis === 'epoch') return formats.number(Math.round(1000 * place) / 1000);
    return isShort && place >= 100_000 ? formats.compact(place) : formats.integer(place);
  }

  private axisTitle({ axis, strings }: ChartModel): string {
    return axis === 'time' ? strings.time : axis === 'epoch' ? strings.epoch : strings.step;
  }

  /** The curve's value at the cursor, or the last one before it. */
  private valueAt(
    data: CurveData,
    model: ChartModel,
  ): { readonly raw: number; readonly average: number | undefined } | null {
    if (this.cursor === null) {
      const index = data.value.length - 1;
      return index < 0 ? null : { raw: data.value[index] ?? NaN, average: data.smoothed?.value[index] };
    }
    const place = this.places[this.cursor];
    if (place === undefined) return null;
    const places = placesOf(data, model.axis, model.startedAt);
    const index = places.findLastIndex((each) => each <= place);
    return index < 0 ? null : { raw: data.value[index] ?? NaN, average: data.smoothed?.value[index] };
  }

  private legend(model: ChartModel): TemplateResult {
    const { strings, formats, plan } = model;
    const place = this.cursor === null ? undefined : this.places[this.cursor];
    return html`${this.drawn.map(({ series, data, colour, dash }) => {
      const value = this.valueAt(data, model);
      const shown = value === null ? NaN : (value.average ?? value.raw);
      return html`<span class="colour-${colour}">
        <svg width="18" height="8">
          <line
            x1="0"
            y1="4"
            x2="18"
            y2="4"
            stroke="currentColor"
            stroke-width="2"
            stroke-dasharray=${dash.join(' ')}
          />
        </svg>
        ${series.label} <b>${value === null ? strings.noValue : chartNumber(shown, plan.unit, strings, formats)}</b>
      </span>`;
    })}
    ${
      place === undefined
        ? nothing
        : html`<span>${this.axisTitle(model)} <b>${this.placeText(place, model.axis, formats)}</b></span>`
    }`;
  }

  /** What is said of the place that the cursor was moved to by keyboard. */
  private spoken(model: ChartModel): string {
    const place = this.cursor === null ? undefined : this.places[this.cursor];
    if (place === undefined) return '';
    const values = this.drawn.flatMap(({ series, data }) => {
      const value = this.valueAt(data, model);
      return value === null
        ? []
        : [`${series.label} ${chartNumber(value.raw, model.plan.unit, model.strings, model.formats)}`];
    });
    return fill(model.strings.pointRead, {
      x: `${this.axisTitle(model)} ${this.placeText(place, model.axis, model.formats)}`,
      values: values.join(', '),
    });
  }

  private onKeyDown(event: KeyboardEvent): void {
    const { plot } = this;
    if (plot === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const most = this.places.length - 1;
    const stride = event.shiftKey ? Math.max(1, Math.round(most / 20)) : 1;
    const now = this.cursor ?? most + 1;
    let next: number;
    if (event.key === 'ArrowLeft') next = now - stride;
    else if (event.key === 'ArrowRight') next = now + stride;
    else if (event.key === 'Home') next = 0;
    else if (event.key === 'End') next = most;
    else if (event.key === 'Escape') {
      this.forgetCursor();
      plot.setCursor({ left: -10, top: -10 });
      return;
    } else if (event.key === '+' || event.key === '-') {
      event.preventDefault();
      this.zoomByKey(event.key === '+');
      return;
    } else return;
    event.preventDefault();
    const index = Math.max(0, Math.min(most, next));
    this.reading = this.places[index] ?? null;
    this.showCursor(plot, index);
  }

  /** Shows the half of the horizontal axis that is around the cursor, or all of it. */
  private zoomByKey(isCloser: boolean): void {
    const { model, places } = this;
    if (model?.canZoom !== true) return;
    const [low, high] = model.extent ?? [places[0] ?? 0, places.at(-1) ?? 0];
    const around = (this.cursor === null ? undefined : places[this.cursor]) ?? (low + high) / 2;
    const reach = (high - low) / 4;
    // At an end of the axis the half lies to one side.
    const centre = Math.max(low + reach, Math.min(high - reach, around));
    const steps = isCloser ? this.stepsBetween(centre - reach, centre + reach) : null;
    if (!isCloser || steps !== null) this.dispatchEvent(new ZoomEvent(steps));
  }

  private twin(model: ChartModel): TemplateResult {
    const { plan, strings, formats } = model;
    interface Row {
      readonly series: string;
      readonly step: number;
      readonly epoch: number;
      readonly time: number;
      readonly value: number;
    }
    const rows = this.drawn.flatMap(({ series, data }) =>
      data.step.map((step, index): Row => ({
        series: series.label,
        step,
        epoch: data.epoch[index] ?? NaN,
        // By the run's own clock, which may have been set back since.
        time: Math.max(0, (data.time[index] ?? NaN) - (model.startedAt ?? data.time[0] ?? 0)),
        value: data.value[index] ?? NaN,
      })),
    );
    const shown = rows.length;
    const total = this.drawn.reduce((sum, { data }) => sum + data.total, 0);
    return html`${table<Row>({
      caption: plan.title,
      isLow: true,
      rows,
      key: ({ series, step }) => `${series} ${step}`,
      columns: [
        ...(this.drawn.length > 1
          ? [{ id: 'series', title: strings.split, sortBy: (row: Row) => row.series, cell: (row: Row) => row.series }]
          : []),
        {
          id: 'step',
          title: strings.step,
          isNumeric: true,
          sortBy: ({ step }) => step,
          cell: ({ step }) => formats.integer(step),
        },
        {
          id: 'epoch',
          title: strings.epoch,
          isNumeric: true,
          sortBy: ({ epoch }) => epoch,
          cell: ({ epoch }) => (Number.isNaN(epoch) ? strings.noValue : formats.number(epoch)),
        },
        {
          id: 'time',
          title: strings.time,
          isNumeric: true,
          sortBy: ({ time }) => time,
          cell: ({ time }) => (Number.isNaN(time) ? strings.noValue : formats.duration(time)),
        },
        {
          id: 'value',
          title: plan.title,
          isNumeric: true,
          sortBy: ({ value }) => value,
          cell: ({ value }) => chartNumber(value, plan.unit, strings, formats),
        },
      ],
    })}
    ${
      shown < total
        ? html`<p class="quiet">
            ${fill(strings.pointsOf, { shown: formats.integer(shown), total: formats.integer(total) })}
          </p>`
        : nothing
    }`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { model } = this;
    if (model === undefined) return nothing;
    const { plan, strings, formats, asTable, curves } = model;
    return chartFrame({
      title: plan.title,
      text: chartText(plan, curves, strings, formats),
      onAsTable: () => this.dispatchEvent(new AsTableEvent(plan.id)),
      strings,
      content: asTable
        ? { kind: 'table', table: this.twin(model) }
        : {
            kind: 'plot',
            plot: html`<div ${ref(this.takeTarget)}></div>`,
            onKeyDown: (event) => this.onKeyDown(event),
            help: model.canZoom ? `${strings.chartHelp} ${strings.chartZoomHelp}` : strings.chartHelp,
            readings: this.legend(model),
            spoken: this.matches(':focus-within') ? this.spoken(model) : '',
          },
    });
  }
}

customElements.define('peft-curve-chart', CurveChart);

/** Some room above and below, also for a curve that does not move. */
function paddedRange(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1];
  const room = (high - low) * 0.06;
  // A curve that is never negative has no axis below 0.
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

/** The room that an axis needs for its numbers, and at least so many pixels: charts below one another then mostly begin alike. */
function widthOf(plot: uPlot, values: readonly string[] | null, index: number, least: number): number {
  const { font, gap = 0 } = plot.axes[index] ?? {};
  // uPlot keeps the font as it draws it, scaled to the screen's own pixels.
  const [drawn] = Array.isArray(font) ? (font as unknown as readonly string[]) : [];
  if (drawn === undefined) return least;
  plot.ctx.font = drawn;
  const widest = Math.max(0, ...(values ?? []).map((value) => plot.ctx.measureText(value).width));
  return Math.max(least, Math.ceil(widest / devicePixelRatio) + gap + 4);
}

/** There is nothing between two steps. */
const wholeIncrements = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();

/** Round numbers of seconds, minutes and hours, in milliseconds. */
const timeIncrements = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400,
].map((seconds) => 1000 * seconds);
