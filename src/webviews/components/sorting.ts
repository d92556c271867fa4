import {
  constructTable,
  createSortedRowModel,
  rowSortingFeature,
  tableFeatures,
  type ColumnDef,
} from '@tanstack/table-core';
import { storeReactivityBindings } from '@tanstack/table-core/store-reactivity-bindings';

/** What a column is sorted by; null and NaN come last either way. */
export type SortValue = string | number | null;

export interface SortState {
  readonly column: string;
  readonly descending: boolean;
}

const collator = new Intl.Collator(undefined, { numeric: true });

function compare(a: SortValue | undefined, b: SortValue | undefined): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}

function isMissing(value: SortValue): boolean {
  return value === null || (typeof value === 'number' && Number.isNaN(value));
}

const features = tableFeatures({
  coreReactivityFeature: storeReactivityBindings(),
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
});

interface Indexed {
  readonly index: number;
  readonly value: SortValue;
}

/** The indices of `values` in the order of the sort; equal ones keep theirs. */
export function sortedIndices(values: readonly SortValue[], descending: boolean): readonly number[] {
  const columns: ColumnDef<typeof features, Indexed>[] = [
    {
      id: 'value',
      accessorFn: ({ value }) => (isMissing(value) ? undefined : value),
      sortUndefined: 'last',
      sortFn: (a, b, id) => compare(a.getValue<SortValue>(id), b.getValue<SortValue>(id)),
    },
  ];
  const table = constructTable({
    features,
    columns,
    data: values.map((value, index): Indexed => ({ index, value })),
    initialState: { sorting: [{ id: 'value', desc: descending }] },
  });
  return table.getRowModel().rows.map(({ original }) => original.index);
}

/** What a click on a column's header sorts by: numbers the greatest first, texts by the alphabet, then the other way round. */
export function nextSort(now: SortState | undefined, column: string, isNumeric: boolean): SortState {
  if (now?.column === column) return { column, descending: !now.descending };
  return { column, descending: isNumeric };
}
