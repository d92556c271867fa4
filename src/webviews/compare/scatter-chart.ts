import { line } from 'd3-shape';
import { css, html, LitElement, nothing, svg, type PropertyValues, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { axes, axesStyle } from '../components/axes.ts';
import { keepFocus } from '../components/kept-focus.ts';
import { base } from '../components/styles.ts';
import { measuredWidth } from '../components/width.ts';
import type { Formats } from '../format.ts';
import type { Strings } from '../strings.ts';
import { layoutOf, nextPoint, staircase, type Layout } from './layout.ts';
import type { Mark } from './marks.ts';
import type { View } from './messages.ts';
import type { Facet, Point } from './points.ts';
import { facetText, pointText, runsText, scoreAxisText } from './texts.ts';

/** What the chart shows. */
export interface ScatterModel {
  readonly facets: readonly Facet[];
  readonly marks: ReadonlyMap<string, Mark>;
  readonly view: View;
  readonly strings: Strings;
  readonly formats: Formats;
  /** The text of the chart, for its label. */
  readonly text: string;
  /** Whether a point can be opened: not in a report. */
  readonly canOpen: boolean;
}

/** A point was chosen. */
export class OpenPointEvent extends Event {
  readonly point: Point;
  constructor(point: Point) {
    super('peft-open-point', { bubbles: true, composed: true });
    this.point = point;
  }
}

const leastWidth = 260;
/** Below this the axis has room for no more than what it counts. */
const roomyWidth = 320;
const path = line();

/** Score against parameters or privacy loss, as one panel or several, in which one point at a time can have the focus. */
export class ScatterChart extends LitElement {
  static override properties = {
    model: { attribute: false },
    current: { state: true },
    shown: { state: true },
  };

  static override styles = [
    base,
    axesStyle,
    css`
      :host {
        position: relative;
        min-width: 0;
      }
      .facets {
        display: flex;
        flex-wrap: wrap;
        gap: 16px;
      }
      figure {
        margin: 0;
        min-width: 0;
      }
      /* A page of paper is narrower than the window that the chart was measured for. */
      @media print {
        figure,
        .chart {
          max-width: 100%;
        }
        .chart {
          height: auto;
        }
      }
      figcaption {
        padding-left: 60px;
        font-weight: 600;
      }
      .band {
        fill: var(--vscode-editorWidget-background, transparent);
        opacity: 0.7;
      }
      .front {
        fill: none;
        stroke: var(--vscode-foreground);
        stroke-width: 1.5;
        stroke-dasharray: 5 3;
        opacity: 0.7;
      }
      .point .interval {
        stroke: var(--series);
        stroke-width: 1.2;
      }
      .point {
        cursor: pointer;
        outline: none;
      }
      .point.still {
        cursor: default;
      }
      .point path {
        fill: var(--series);
        stroke: var(--vscode-editor-background);
        stroke-width: 1;
      }
      .point.dominated path {
        fill: var(--vscode-editor-background);
        stroke: var(--series);
        stroke-width: 1.5;
      }
      .point .ring {
        fill: none;
        stroke: transparent;
        stroke-width: 1.5;
      }
      .point .reach {
        fill: transparent;
      }
      .point:hover .ring {
        stroke: var(--vscode-descriptionForeground);
      }
      .point:focus-visible .ring,
      .point:focus .ring {
        stroke: var(--vscode-focusBorder);
      }
      .tooltip {
        position: absolute;
        z-index: 2;
        max-width: min(360px, 90%);
        padding: 4px 8px;
        border: 1px solid var(--vscode-editorHoverWidget-border, var(--vscode-widget-border));
        border-radius: 3px;
        background: var(--vscode-editorHoverWidget-background);
        color: var(--vscode-editorHoverWidget-foreground);
        overflow-wrap: anywhere;
        pointer-events: none;
      }
      .tooltip[hidden] {
        display: none;
      }
    `,
  ];

  declare model: ScatterModel | undefined;
  /** The key of the point that the keyboard is at. */
  declare private current: string | undefined;
  /** The point whose tooltip is shown. */
  declare private shown: string | undefined;
  private readonly width = measuredWidth(this);
  private points: readonly Point[] = [];
  private layouts: ReadonlyMap<string, Layout> = new Map();
  private wantsFocus = false;

  constructor() {
    super();
    this.model = undefined;
    this.current = undefined;
    this.shown = undefined;
    keepFocus(this);
  }

  protected override willUpdate(_: PropertyValues): void {
    const { model } = this;
    const width = this.width();
    if (model === undefined || width === 0) return;
    this.points = model.facets.flatMap(({ points }) => points);
    const gap = 16;
    const columns = Math.max(1, Math.min(model.facets.length, Math.floor((width + gap) / (leastWidth + gap))));
    const panelWidth = Math.floor((width - gap * (columns - 1)) / columns);
    const height = model.facets.length > 1 ? 260 : Math.max(240, Math.min(420, Math.round(width * 0.5)));
    // One layout for all panels: what is compared shares its scales.
    const layout = layoutOf(this.points, { width: panelWidth, height, axis: model.view.axis });
    this.layouts = new Map(model.facets.map(({ key }) => [key, layout]));
    if (!this.points.some(({ key }) => key === this.current)) this.current = this.points[0]?.key;
    if (!this.points.some(({ key }) => key === this.shown)) this.shown = undefined;
  }

  protected override updated(): void {
    const element = this.renderRoot.querySelector<SVGElement>('.point[data-current]');
    if (this.wantsFocus) {
      this.wantsFocus = false;
      element?.focus();
    }
    this.placeTooltip();
  }

  private placeTooltip(): void {
    const tooltip = this.renderRoot.querySelector<HTMLElement>('.tooltip');
    const target = this.renderRoot.querySelector<SVGElement>('.point[data-shown] .reach');
    if (tooltip === null || target === null) return;
    const own = this.getBoundingClientRect();
    const at = target.getBoundingClientRect();
    const left = Math.max(0, Math.min(own.width - tooltip.offsetWidth, at.left - own.left + at.width / 2 + 8));
    const above = at.top - own.top - tooltip.offsetHeight - 4;
    tooltip.style.left = `${left}px`;
    tooltip.style.top = `${above < 0 ? at.bottom - own.top + 4 : above}px`;
  }

  private open(point: Point): void {
    if (this.model?.canOpen === true) this.dispatchEvent(new OpenPointEvent(point));
  }

  private onKeyDown(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const from = this.points.findIndex(({ key }) => key === this.current);
    const point = this.points[from];
    if (point === undefined) return;
    if (event.key === 'Escape') {
      this.shown = undefined;
      return;
    }
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.open(point);
      return;
    }
    // Panels follow one another from left to right.
    const order = new Map(this.model?.facets.map(({ key }, index) => [key, index]));
    const places = this.points.map((each) => {
      const layout = this.layouts.get(each.facet);
      return {
        x: (layout?.x(each) ?? 0) + (order.get(each.facet) ?? 0) * (layout?.width ?? 0),
        y: layout === undefined ? 0 : -layout.y(each.score),
      };
    });
    const to = nextPoint(places, from, event.key);
    if (to === from && !event.key.startsWith('Arrow')) return;
    event.preventDefault();
    this.current = this.points[to]?.key;
    this.shown = this.current;
    this.wantsFocus = true;
  }

  private xTitle({ view, strings }: ScatterModel, { width }: Layout): string {
    if (view.axis === 'epsilon') return strings.privacyLoss;
    if (width < roomyWidth) return strings.trainedParameters;
    const which = { method: strings.countMethod, head: strings.countHead, total: strings.countTotal }[view.count];
    return `${strings.trainedParameters} (${which.toLowerCase()})`;
  }

  private axes(model: ScatterModel, layout: Layout): TemplateResult {
    const { formats, strings, view } = model;
    const { top, bottom, apart, digits, xTicks, yTicks } = layout;
    const bandTitle = view.axis === 'epsilon' ? strings.noPrivacy : strings.zeroParameters;
    return svg`
      ${
        apart === null
          ? nothing
          : svg`<rect class="band" x=${apart.from} y=${top} width=${apart.to - apart.from} height=${bottom - top} />
              <text x=${(apart.from + apart.to) / 2} y=${bottom + 16} text-anchor="middle">${bandTitle}</text>`
      }
      ${axes({
        ...layout,
        xTitle: this.xTitle(model, layout),
        yTitle: scoreAxisText(view.metric, this.points, strings),
        xTicks: xTicks.map(({ at, value, isLabelled }) => ({ at, text: isLabelled ? formats.compact(value) : null })),
        yTicks: yTicks.map(({ at, value }) => ({ at, text: formats.percent(value, digits) })),
      })}`;
  }

  private point(model: ScatterModel, layout: Layout, point: Point): TemplateResult {
    const mark = model.marks.get(point.method);
    const [x, y] = [layout.x(point), layout.y(point.score)];
    const whisker = point.interval === null ? null : layout.whisker(point.interval);
    const isCurrent = point.key === this.current;
    const text = pointText(point, model.view, model.strings, model.formats);
    const cap = 3;
    return svg`<g
      class="point colour-${mark?.colour ?? 'blue'} ${point.isOnFront ? '' : 'dominated'} ${model.canOpen ? '' : 'still'}"
      role=${model.canOpen ? 'button' : 'img'}
      tabindex=${isCurrent ? 0 : -1}
      aria-label=${text}
      ?data-current=${isCurrent}
      ?data-shown=${point.key === this.shown}
      transform="translate(${x},${y})"
      @click=${() => {
        this.current = point.key;
        this.open(point);
      }}
      @focus=${() => {
        this.current = point.key;
        this.shown = point.key;
      }}
      @blur=${() => {
        this.shown = undefined;
      }}
      @pointerenter=${() => {
        this.shown = point.key;
      }}
      @pointerleave=${() => {
        this.shown = undefined;
      }}
    >
      ${
        whisker === null
          ? nothing
          : svg`<path
              class="interval"
              fill="none"
              d="M0,${whisker.from - y}V${whisker.to - y}${whisker.ends.map((end) => `M${-cap},${end - y}H${cap}`).join('')}"
            />`
      }
      <path d=${mark?.path ?? ''} />
      <circle class="ring" r="9" />
      <circle class="reach" r="11" />
    </g>`;
  }

  private facet(model: ScatterModel, facet: Facet): TemplateResult | typeof nothing {
    const layout = this.layouts.get(facet.key);
    if (layout === undefined) return nothing;
    const corners = staircase(facet.front.map((point) => ({ x: layout.x(point), y: layout.y(point.score) })));
    // What has the focus is drawn last, above its neighbours; the front above the rest.
    const order = [...facet.points].sort((a, b) => Number(a.isOnFront) - Number(b.isOnFront));
    return html`<figure>
      ${model.facets.length > 1 ? html`<figcaption>${facetText(facet.key, model.strings)}</figcaption>` : nothing}
      <svg
        class="chart"
        width=${layout.width}
        height=${layout.height}
        viewBox="0 0 ${layout.width} ${layout.height}"
        role="group"
        aria-label=${model.text}
      >
        ${this.axes(model, layout)}
        ${corners.length > 1 ? svg`<path class="front" d=${path(corners.map(([x, y]) => [x, y])) ?? ''} />` : nothing}
        ${repeat(
          order,
          ({ key }) => key,
          (point) => this.point(model, layout, point),
        )}
      </svg>
    </figure>`;
  }

  private tooltip(model: ScatterModel): TemplateResult {
    const point = this.points.find(({ key }) => key === this.shown);
    return html`<div class="tooltip" role="presentation" ?hidden=${point === undefined}>
      ${
        point === undefined
          ? nothing
          : html`${pointText(point, model.view, model.strings, model.formats)}
              <span class="quiet">${runsText(point.runs.length, model.strings)}</span>`
      }
    </div>`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { model } = this;
    if (model === undefined) return nothing;
    return html`<div class="facets" @keydown=${(event: KeyboardEvent) => this.onKeyDown(event)}>
        ${this.width() === 0 ? nothing : model.facets.map((facet) => this.facet(model, facet))}
      </div>
      ${this.tooltip(model)}
      <p class="hidden-visually">${model.canOpen ? model.strings.browse : model.strings.browseOnly}</p>`;
  }
}

customElements.define('peft-scatter-chart', ScatterChart);
