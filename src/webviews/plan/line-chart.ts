import { line } from 'd3-shape';
import { css, html, LitElement, nothing, svg, type PropertyValues, type TemplateResult } from 'lit';
import { axes, axesStyle } from '../components/axes.ts';
import { chartFrame, chartFrameStyle } from '../components/chart-frame.ts';
import { base } from '../components/styles.ts';
import { table } from '../components/table.ts';
import { measuredWidth } from '../components/width.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import { curveLayout, nextIndex, type CurveLayout, type CurvePoint, type ScaleKind } from './layout.ts';
import type { Curve } from './messages.ts';
import { epsilonText } from './texts.ts';

/** A curve of epsilon, as its owner describes it. */
export interface LineModel {
  readonly title: string;
  readonly xTitle: string;
  readonly curve: Curve;
  readonly x: ScaleKind;
  readonly y: ScaleKind;
  /** Whether only whole numbers are named on the horizontal axis. */
  readonly isWhole?: boolean;
  readonly xText: (x: number) => string;
  /** The plan that is looked at. */
  readonly mark: { readonly x: number; readonly epsilon: number | null } | null;
  readonly markText: string;
  /** An epsilon that is aimed at. */
  readonly target: number | null;
  /** The curve in words. */
  readonly text: string;
  readonly asTable: boolean;
  readonly onAsTable: () => void;
  readonly strings: Strings;
  readonly formats: Formats;
}

const height = 260;
const path = line();

/** One curve of epsilon with its text for screen readers and its table. */
export class LineChart extends LitElement {
  static override properties = {
    model: { attribute: false },
    current: { state: true },
  };

  static override styles = [
    base,
    axesStyle,
    chartFrameStyle,
    css`
      :host {
        position: relative;
      }
      .plot {
        min-height: ${height}px;
      }
      .curve {
        fill: none;
        stroke: var(--vscode-charts-blue);
        stroke-width: 2;
      }
      .point {
        fill: var(--vscode-charts-blue);
      }
      .target {
        stroke: var(--vscode-charts-green);
        stroke-width: 1.5;
        stroke-dasharray: 5 4;
      }
      .mark {
        fill: var(--vscode-editor-background);
        stroke: var(--vscode-charts-red);
        stroke-width: 2;
      }
      svg text.named {
        fill: var(--vscode-foreground);
      }
      .ring {
        fill: none;
        stroke: var(--vscode-focusBorder);
        stroke-width: 2;
      }
    `,
  ];

  declare model: LineModel | undefined;
  /** The point that the keyboard or the pointer is at. */
  declare private current: number | null;
  private readonly width = measuredWidth(this);
  private points: readonly (CurvePoint & { readonly epsilon: number | null })[] = [];

  constructor() {
    super();
    this.model = undefined;
    this.current = null;
  }

  protected override willUpdate(_: PropertyValues): void {
    const { model } = this;
    if (model === undefined) return;
    this.points = model.curve.points
      .map(({ x, epsilon }) => ({ x, y: epsilon ?? NaN, epsilon }))
      .sort((a, b) => a.x - b.x);
    if (this.current !== null && this.current >= this.points.length) this.current = null;
  }

  private layout(model: LineModel): CurveLayout {
    const { mark, target } = model;
    return curveLayout(this.drawn(model), {
      width: this.width(),
      height,
      x: model.x,
      y: model.y,
      isWhole: model.isWhole === true,
      also: [
        ...(mark?.epsilon === null || mark === null ? [] : [{ x: mark.x, y: mark.epsilon }]),
        ...(target === null || mark === null ? [] : [{ x: mark.x, y: target }]),
      ],
    });
  }

  /** Points that the vertical axis has a place for. */
  private drawn({ y }: LineModel): readonly CurvePoint[] {
    return this.points.filter((point) => Number.isFinite(point.y) && (y === 'linear' || point.y > 0));
  }

  private onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || this.points.length === 0) return;
    const next = nextIndex(event.key, this.current, this.points.length);
    if (next === undefined) return;
    event.preventDefault();
    this.current = next;
  }

  private onPointerMove(event: PointerEvent, layout: CurveLayout): void {
    const own = this.renderRoot.querySelector('svg.chart')?.getBoundingClientRect();
    if (own === undefined || this.points.length === 0) return;
    const at = event.clientX - own.left;
    const distances = this.points.map(({ x }) => Math.abs(layout.x(x) - at));
    this.current = distances.indexOf(Math.min(...distances));
  }

  private pointText({ x, epsilon }: { readonly x: number; readonly epsilon: number | null }, model: LineModel): string {
    return fill(model.strings.curvePoint, {
      x: `${model.xTitle} ${model.xText(x)}`,
      epsilon: epsilonText(epsilon, model.strings, model.formats),
    });
  }

  private chart(model: LineModel): TemplateResult {
    const { formats, strings, mark, target } = model;
    const layout = this.layout(model);
    const { left, right, xTicks, yTicks } = layout;
    const drawn = this.drawn(model);
    const current = this.current === null ? undefined : this.points[this.current];
    const across = mark === null ? 0.5 : (layout.x(mark.x) - left) / (right - left);
    const [isRight, isLeft] = [across > 0.8, across < 0.3];
    return html`<svg
      class="chart"
      width=${this.width()}
      height=${height}
      aria-hidden="true"
      @pointermove=${(event: PointerEvent) => this.onPointerMove(event, layout)}
      @pointerleave=${() => (this.current = null)}
    >
      ${axes({
        ...layout,
        height,
        xTitle: model.xTitle,
        xTicks: xTicks.map(({ at, value }) => ({ at, text: model.xText(value) })),
        yTicks: yTicks.map(({ at, value }) => ({ at, text: formats.number(value) })),
      })}
      ${
        target === null
          ? nothing
          : svg`<line class="target" x1=${left} x2=${right} y1=${layout.y(target)} y2=${layout.y(target)} />
            <text class="named" x=${isLeft ? right - 4 : left + 6} y=${layout.y(target) - 5} text-anchor=${
              isLeft ? 'end' : 'start'
            }>${strings.lineTarget} ${formats.number(target)}</text>`
      }
      ${drawn.length > 1 ? svg`<path class="curve" d=${path(drawn.map((point) => [layout.x(point.x), layout.y(point.y)])) ?? ''} />` : nothing}
      ${drawn.map((point) => svg`<circle class="point" cx=${layout.x(point.x)} cy=${layout.y(point.y)} r="2.5" />`)}
      ${
        mark === null || mark.epsilon === null || (model.y === 'log' && mark.epsilon <= 0)
          ? nothing
          : svg`<circle class="mark" cx=${layout.x(mark.x)} cy=${layout.y(mark.epsilon)} r="5" />
            <text class="named" x=${layout.x(mark.x) + (isRight ? -10 : 10)} y=${layout.y(mark.epsilon) - 9} text-anchor=${
              isRight ? 'end' : 'start'
            }>${model.markText}</text>`
      }
      ${
        current === undefined || !Number.isFinite(current.y) || (model.y === 'log' && current.y <= 0)
          ? nothing
          : svg`<circle class="ring" cx=${layout.x(current.x)} cy=${layout.y(current.y)} r="7" />`
      }
    </svg>`;
  }

  private twin(model: LineModel): TemplateResult {
    type Row = (typeof this.points)[number];
    return table<Row>({
      caption: model.title,
      isLow: true,
      rows: this.points,
      key: ({ x }) => String(x),
      columns: [
        {
          id: 'x',
          title: model.xTitle,
          isNumeric: true,
          sortBy: ({ x }) => x,
          cell: ({ x }) => model.xText(x),
        },
        {
          id: 'epsilon',
          title: model.strings.epsilon,
          isNumeric: true,
          sortBy: ({ epsilon }) => epsilon,
          cell: ({ epsilon }) => epsilonText(epsilon, model.strings, model.formats),
        },
      ],
    });
  }

  protected override render(): TemplateResult | typeof nothing {
    const { model } = this;
    if (model === undefined) return nothing;
    const { title, strings, asTable, onAsTable, text, curve } = model;
    const current = this.current === null ? undefined : this.points[this.current];
    const read = current === undefined ? '' : this.pointText(current, model);
    return chartFrame({
      title,
      text,
      onAsTable,
      strings,
      content: asTable
        ? { kind: 'table', table: this.twin(model) }
        : {
            kind: 'plot',
            plot: this.width() === 0 ? nothing : this.chart(model),
            onKeyDown: (event) => this.onKeyDown(event),
            help: strings.chartHelp,
            readings: html`${read === '' ? nothing : html`<b>${read}</b>`}
            ${curve.isWhole ? nothing : html`<span>${strings.computing}</span>`}`,
            spoken: this.matches(':focus-within') ? read : '',
          },
    });
  }
}

customElements.define('peft-line-chart', LineChart);
