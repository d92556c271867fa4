import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from '@tanstack/virtual-core';
import { css, html, LitElement, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { ref } from 'lit/directives/ref.js';
import { repeat } from 'lit/directives/repeat.js';
import { icon } from './icons.ts';
import { nextSort, sortedIndices, type SortState, type SortValue } from './sorting.ts';
import { base } from './styles.ts';

/** A column of a table; `Row` is whatever the rows are. */
export interface Column<Row> {
  readonly id: string;
  readonly title: string;
  /** Numbers stand to the right, and a first click sorts the greatest first. */
  readonly isNumeric?: boolean;
  readonly sortBy: (row: Row) => SortValue;
  readonly cell: (row: Row) => string | TemplateResult;
  /** It says what a row is about, and stays in sight. */
  readonly isHeader?: boolean;
  /** Further classes of its cells. */
  readonly className?: string;
}

function classesOf({ isNumeric, isHeader, className = '' }: Column<unknown>): string {
  return `${isNumeric === true ? 'numeric' : ''} ${isHeader === true ? 'pinned' : ''} ${className}`;
}

/** A table of any rows, as its owner describes it. */
export interface TableModel<Row = unknown> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  /** The same for the same row. */
  readonly key: (row: Row) => string;
  /** The sort to begin with; without it the rows stand in their order. */
  readonly sort?: SortState;
  /** Told when somebody sorts the table otherwise. */
  readonly onSort?: (sort: SortState) => void;
  /** No higher than a chart. */
  readonly isLow?: boolean;
  /** What Enter or a double click on a row does. */
  readonly onOpen?: (row: Row) => void;
}

/** Beyond this only the rows in sight are in the page. */
const mostWhole = 100;
const rowHeight = 26;
/** A title with more characters may be cut, and is told as a whole by a tooltip. */
const longTitle = 20;

/**
 * A sortable table that works by keyboard as a grid (arrow keys, Home, End, Page keys, Enter), and draws only what is in sight
 * when it is long.
 */
export class PeftTable extends LitElement {
  static override properties = {
    model: { attribute: false },
    sort: { state: true },
    focusedRow: { state: true },
    focusedColumn: { state: true },
  };

  static override styles = [
    base,
    css`
      :host {
        min-width: 0;
      }
      .scroller {
        overflow: auto;
        border: 1px solid var(--vscode-widget-border, var(--vscode-panel-border, transparent));
        border-radius: 4px;
      }
      .scroller.long {
        max-height: min(70vh, 640px);
      }
      .scroller.low {
        max-height: 260px;
      }
      table {
        width: 100%;
        border-collapse: separate;
        border-spacing: 0;
      }
      th,
      td {
        height: ${rowHeight}px;
        padding: 0 12px;
        text-align: left;
        white-space: nowrap;
        overflow-wrap: normal;
      }
      th {
        position: sticky;
        top: 0;
        z-index: 1;
        background: var(--vscode-keybindingTable-headerBackground, var(--vscode-editor-background));
        background-color: var(--vscode-editor-background);
        border-bottom: 1px solid var(--vscode-widget-border, var(--vscode-panel-border, currentColor));
        font-weight: 600;
      }
      th button {
        display: inline-flex;
        align-items: center;
        gap: 2px;
        padding: 0;
        border: 0;
        background: none;
        color: inherit;
        font: inherit;
        text-align: inherit;
        vertical-align: middle;
        cursor: pointer;
      }
      th.numeric {
        white-space: normal;
        min-width: 6em;
      }
      /* A long name takes a few lines, not the whole page. */
      th .title {
        display: -webkit-box;
        -webkit-box-orient: vertical;
        -webkit-line-clamp: 3;
        max-width: 20em;
        overflow: hidden;
        overflow-wrap: break-word;
        text-overflow: ellipsis;
      }
      th .icon {
        flex: none;
      }
      th .unsorted {
        visibility: hidden;
      }
      .numeric {
        text-align: right;
        font-variant-numeric: tabular-nums;
      }
      th.numeric button {
        flex-direction: row-reverse;
      }
      tbody tr:hover td {
        background: var(--vscode-list-hoverBackground);
      }
      tbody tr.openable {
        cursor: pointer;
      }
      td.wraps {
        padding-block: 4px;
        min-width: 14em;
      }
      td.wraps .content {
        white-space: pre-wrap;
        overflow-wrap: anywhere;
      }
      .pinned {
        position: sticky;
        left: 0;
        background: var(--vscode-editor-background);
      }
      th.pinned {
        z-index: 2;
      }
      tbody tr:hover td.pinned {
        background:
          linear-gradient(var(--vscode-list-hoverBackground), var(--vscode-list-hoverBackground)),
          var(--vscode-editor-background);
      }
      td.mono {
        font-family: var(--vscode-editor-font-family);
        font-size: var(--vscode-editor-font-size);
      }
      table:focus-visible {
        outline: none;
      }
      td:focus-visible,
      th button:focus-visible {
        outline: 1px solid var(--vscode-focusBorder);
        outline-offset: -1px;
      }
      .spacer td {
        padding: 0;
        border: 0;
      }
      .best {
        font-weight: 700;
      }
      .second {
        font-style: italic;
      }
    `,
  ];

  declare model: TableModel | undefined;
  declare private sort: SortState | undefined;
  /** -1 is the header. */
  declare private focusedRow: number;
  declare private focusedColumn: number;
  private order: readonly number[] = [];
  private scroller: HTMLElement | null = null;
  private virtualizer: Virtualizer<HTMLElement, HTMLElement> | undefined;
  private endVirtualizer: (() => void) | undefined;
  private wantsFocus = false;
  /** The row that the focus is at, wherever it stands by now. */
  private focusedKey: string | undefined;
  private hadFocus = false;

  constructor() {
    super();
    this.model = undefined;
    this.sort = undefined;
    this.focusedRow = -1;
    this.focusedColumn = 0;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.endVirtualizer?.();
    this.endVirtualizer = undefined;
    this.virtualizer = undefined;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.requestUpdate();
  }

  protected override willUpdate(changed: PropertyValues): void {
    const { model } = this;
    if (model === undefined) return;
    const sort = this.sort ?? model.sort;
    const column = model.columns.find(({ id }) => id === sort?.column);
    if (changed.has('model') || changed.has('sort')) {
      this.order =
        column === undefined || sort === undefined
          ? model.rows.map((_, index) => index)
          : sortedIndices(
              model.rows.map((row) => column.sortBy(row)),
              sort.descending,
            );
    }
    if (changed.has('model')) this.followRow(model);
    this.focusedRow = Math.min(this.focusedRow, model.rows.length - 1);
    this.focusedColumn = Math.max(0, Math.min(this.focusedColumn, model.columns.length - 1));
  }

  /** Whose row the focus is at keeps it, though others came before it or went. */
  private followRow(model: TableModel): void {
    this.hadFocus = (this.shadowRoot?.activeElement ?? null) !== null;
    const { focusedKey } = this;
    if (this.focusedRow < 0 || focusedKey === undefined) return;
    const place = this.order.findIndex((index) => model.key(model.rows[index]) === focusedKey);
    if (place >= 0) this.focusedRow = place;
  }

  private goTo(row: number, column: number): void {
    const original = row < 0 ? undefined : this.order[row];
    this.focusedKey = original === undefined ? undefined : this.model?.key(this.model.rows[original]);
    this.focusedRow = row;
    this.focusedColumn = column;
  }

  protected override updated(): void {
    this.setUpVirtualizer();
    // A row that was moved or is gone has taken the focus with it.
    if (this.hadFocus && this.shadowRoot?.activeElement === null)
      this.renderRoot
        .querySelector<HTMLElement>('[data-current] button, td[data-current], table')
        ?.focus({ preventScroll: true });
    this.hadFocus = false;
    if (!this.wantsFocus) return;
    const target = this.renderRoot.querySelector<HTMLElement>('[data-current] button, td[data-current]');
    this.wantsFocus = target === null;
    // Until the row is in sight the table itself has the focus, so that no key is lost.
    (target ?? this.renderRoot.querySelector('table'))?.focus();
  }

  private readonly takeScroller = (element: Element | undefined): void => {
    this.scroller = element instanceof HTMLElement ? element : null;
  };

  private isLong(): boolean {
    return (this.model?.rows.length ?? 0) > mostWhole;
  }

  private options() {
    return {
      count: this.order.length,
      getScrollElement: () => this.scroller,
      estimateSize: () => rowHeight,
      overscan: 12,
      scrollToFn: elementScroll,
      observeElementRect,
      observeElementOffset,
      // The header lies over the first row in sight.
      scrollPaddingStart: rowHeight,
      onChange: () => this.requestUpdate(),
    };
  }

  private setUpVirtualizer(): void {
    if (!this.isLong() || this.scroller === null) {
      this.endVirtualizer?.();
      this.endVirtualizer = undefined;
      this.virtualizer = undefined;
      return;
    }
    if (this.virtualizer === undefined) {
      this.virtualizer = new Virtualizer<HTMLElement, HTMLElement>(this.options());
      this.endVirtualizer = this.virtualizer._didMount();
      this.virtualizer._willUpdate();
      this.requestUpdate();
      return;
    }
    this.virtualizer.setOptions(this.options());
    this.virtualizer._willUpdate();
  }

  private inSight(): { readonly from: number; readonly to: number; readonly above: number; readonly below: number } {
    const count = this.order.length;
    if (!this.isLong()) return { from: 0, to: count, above: 0, below: 0 };
    const items = this.virtualizer?.getVirtualItems() ?? [];
    const [first] = items;
    const last = items.at(-1);
    if (first === undefined || last === undefined)
      return { from: 0, to: Math.min(count, 40), above: 0, below: Math.max(0, count - 40) * rowHeight };
    return {
      from: first.index,
      to: last.index + 1,
      above: first.start,
      below: Math.max(0, count - last.index - 1) * rowHeight,
    };
  }

  private onKeyDown(event: KeyboardEvent): void {
    const { model } = this;
    if (model === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const [rows, columns] = [model.rows.length, model.columns.length];
    const page = Math.max(1, Math.floor((this.scroller?.clientHeight ?? 400) / rowHeight) - 2);
    let [row, column] = [this.focusedRow, this.focusedColumn];
    switch (event.key) {
      case 'ArrowDown':
        row += 1;
        break;
      case 'ArrowUp':
        row -= 1;
        break;
      case 'ArrowRight':
        column += 1;
        break;
      case 'ArrowLeft':
        column -= 1;
        break;
      case 'PageDown':
        row += page;
        break;
      case 'PageUp':
        row -= page;
        break;
      case 'Home':
        column = 0;
        break;
      case 'End':
        column = columns - 1;
        break;
      case 'Enter': {
        const original = model.rows[this.order[row] ?? -1];
        if (row < 0 || original === undefined || model.onOpen === undefined) return;
        event.preventDefault();
        // What opens may take the focus.
        model.onOpen(original);
        return;
      }
      default:
        return;
    }
    event.preventDefault();
    this.focusCell(Math.max(-1, Math.min(rows - 1, row)), Math.max(0, Math.min(columns - 1, column)));
  }

  private focusCell(row: number, column: number): void {
    this.goTo(row, column);
    this.wantsFocus = true;
    if (row >= 0) this.virtualizer?.scrollToIndex(row, { align: 'auto' });
    else if (this.scroller !== null) this.scroller.scrollTop = 0;
    this.requestUpdate();
  }

  private toggle(column: Column<unknown>, index: number): void {
    const sort = nextSort(this.sort ?? this.model?.sort, column.id, column.isNumeric === true);
    this.sort = sort;
    this.model?.onSort?.(sort);
    this.goTo(-1, index);
  }

  private isCurrent(row: number, column: number): boolean {
    return this.focusedRow === row && this.focusedColumn === column;
  }

  private header(column: Column<unknown>, index: number): TemplateResult {
    const sort = this.sort ?? this.model?.sort;
    const direction = sort?.column === column.id ? (sort.descending ? 'descending' : 'ascending') : 'none';
    const isCurrent = this.isCurrent(-1, index);
    return html`<th
      scope="col"
      role="columnheader"
      aria-sort=${direction}
      class=${classesOf(column)}
      ?data-current=${isCurrent}
    >
      <button
        tabindex=${isCurrent ? 0 : -1}
        title=${column.title.length > longTitle ? column.title : nothing}
        @click=${() => this.toggle(column, index)}
      >
        <span class="title">${column.title}</span>
        ${direction === 'none' ? html`<span class="unsorted">${icon('descending', 12)}</span>` : icon(direction, 12)}
      </button>
    </th>`;
  }

  private row(model: TableModel, place: number): TemplateResult | typeof nothing {
    const row = model.rows[this.order[place] ?? -1];
    if (row === undefined) return nothing;
    const open = model.onOpen;
    return html`<tr
      role="row"
      aria-rowindex=${place + 2}
      class=${open === undefined ? '' : 'openable'}
      @dblclick=${() => open?.(row)}
    >
      ${model.columns.map((column, index) => {
        const isCurrent = this.isCurrent(place, index);
        return html`<td
          role=${column.isHeader === true ? 'rowheader' : 'gridcell'}
          tabindex=${isCurrent ? 0 : -1}
          ?data-current=${isCurrent}
          class=${classesOf(column)}
          @focus=${() => this.goTo(place, index)}
        >
          <span class="content">${column.cell(row)}</span>
        </td>`;
      })}
    </tr>`;
  }

  private spacer(height: number, columns: number): TemplateResult | typeof nothing {
    if (height <= 0) return nothing;
    return html`<tr class="spacer" role="presentation">
      <td
        colspan=${columns}
        ${ref((element) => {
          // A style attribute would be against the page's content security policy; the object model is not.
          if (element instanceof HTMLElement) element.style.height = `${height}px`;
        })}
      ></td>
    </tr>`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { model } = this;
    if (model === undefined) return nothing;
    const { from, to, above, below } = this.inSight();
    const places = Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
    return html`<div
      class="scroller ${this.isLong() ? 'long' : ''} ${model.isLow === true ? 'low' : ''}"
      ${ref(this.takeScroller)}
    >
      <table
        role="grid"
        tabindex="-1"
        aria-rowcount=${model.rows.length + 1}
        aria-label=${model.caption}
        @keydown=${(event: KeyboardEvent) => this.onKeyDown(event)}
      >
        <thead>
          <tr role="row" aria-rowindex="1">
            ${model.columns.map((column, index) => this.header(column, index))}
          </tr>
        </thead>
        <tbody>
          ${this.spacer(above, model.columns.length)}
          ${repeat(
            places,
            (place) => model.key(model.rows[this.order[place] ?? -1]),
            (place) => this.row(model, place),
          )}
          ${this.spacer(below, model.columns.length)}
        </tbody>
      </table>
    </div>`;
  }
}

customElements.define('peft-table', PeftTable);

/** The table as a template; its rows' type is known only to its owner. */
export function table<Row>(model: TableModel<Row>): TemplateResult {
  return html`<peft-table .model=${model}></peft-table>`;
}
