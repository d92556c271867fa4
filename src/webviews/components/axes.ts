import { css, nothing, svg, type TemplateResult } from 'lit';

/** A place on an axis; without a text it has no line across the chart either. */
export interface AxisTick {
  readonly at: number;
  readonly text: string | null;
}

/** The axes of a chart of this height, whose points lie between the four sides; in pixels. */
export interface Axes {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
  readonly height: number;
  readonly xTitle: string;
  readonly yTitle?: string;
  readonly xTicks: readonly AxisTick[];
  readonly yTicks: readonly AxisTick[];
}

/** How a chart that is drawn as `svg.chart` looks, with its axes. */
export const axesStyle = css`
  svg.chart {
    display: block;
    overflow: visible;
    font-family: inherit;
    font-size: 11px;
  }
  svg text {
    fill: var(--vscode-descriptionForeground);
    font-variant-numeric: tabular-nums;
  }
  .grid {
    stroke: var(--vscode-foreground);
    opacity: 0.14;
    shape-rendering: crispEdges;
  }
  .axis {
    stroke: var(--vscode-descriptionForeground);
    opacity: 0.6;
    shape-rendering: crispEdges;
  }
`;

/** The axes with the lines of their grid, as parts of an svg element. */
export function axes({ left, right, top, bottom, height, xTitle, yTitle, xTicks, yTicks }: Axes): TemplateResult {
  return svg`
    ${yTicks.map(
      ({ at, text }) => svg`<line class="grid" x1=${left} x2=${right} y1=${at} y2=${at} />
        <text x=${left - 8} y=${at} dy="0.32em" text-anchor="end">${text}</text>`,
    )}
    ${xTicks.map(
      ({ at, text }) => svg`<line class="grid" x1=${at} x2=${at} y1=${text === null ? bottom : top} y2=${bottom + 4} />
        ${text === null ? nothing : svg`<text x=${at} y=${bottom + 16} text-anchor="middle">${text}</text>`}`,
    )}
    <line class="axis" x1=${left} x2=${right} y1=${bottom} y2=${bottom} />
    <text x=${(left + right) / 2} y=${height - 6} text-anchor="middle">${xTitle}</text>
    ${
      yTitle === undefined
        ? nothing
        : svg`<text transform="translate(10,${(top + bottom) / 2}) rotate(-90)" text-anchor="middle">${yTitle}</text>`
    }`;
}
