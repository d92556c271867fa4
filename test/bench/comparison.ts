import { mebibytes, milliseconds } from './table.ts';

/** One side of a comparison as it was measured. */
export interface Measured {
  readonly name: string;
  readonly value: number;
  /** Every round's value, in order, where there were rounds. */
  readonly rounds?: readonly number[];
  /** A peer that users don't have as it is: it is reported, but the headline is not taken from it. */
  readonly aside?: boolean;
}

/**
 * A measurement of ours beside the strongest peer's: what every line of `--json` is. Less is better in every unit but of a cosine, which is
 * best at 1.
 */
export interface Comparison {
  readonly name: string;
  readonly unit: 'seconds' | 'bytes' | 'cosine';
  readonly ours: number;
  /** The strongest peer's; null where there is none. */
  readonly peer: number | null;
  /** peer / ours: above 1 we are faster, or smaller. Of a cosine, ours / peer. */
  readonly ratio: number | null;
  /** The least and greatest of the ratios of single rounds. */
  readonly ratioRange?: readonly [number, number];
  readonly peerName: string | null;
  /** Every peer that was measured: the strongest first, those aside last. */
  readonly peers: readonly {
    readonly name: string;
    readonly value: number;
    readonly ratio: number;
    readonly aside?: boolean;
  }[];
  readonly [detail: string]: unknown;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? NaN) + (high ?? NaN)) / 2;
}

/** Puts ours beside peers measured in the same rounds, in a unit of which less is better; the headline is the ratio to the strongest. */
export function compare(
  name: string,
  unit: Comparison['unit'],
  ours: Measured,
  peers: readonly Measured[],
  details: Readonly<Record<string, unknown>> = {},
): Comparison {
  const ordered = [...peers].sort((a, b) => Number(a.aside ?? false) - Number(b.aside ?? false) || a.value - b.value);
  const strongest = ordered.find((peer) => peer.aside !== true);
  const ratios = strongest?.rounds?.flatMap((value, round) => {
    const own = ours.rounds?.[round];
    return own === undefined ? [] : [value / own];
  });
  return {
    name,
    unit,
    ours: ours.value,
    peer: strongest?.value ?? null,
    ratio: strongest === undefined ? null : strongest.value / ours.value,
    ...(ratios === undefined || ratios.length === 0
      ? {}
      : { ratioRange: [Math.min(...ratios), Math.max(...ratios)] as const }),
    peerName: strongest?.name ?? null,
    peers: ordered.map(({ name, value, aside }) => ({
      ...{ name, value, ratio: value / ours.value },
      ...(aside === true ? { aside } : {}),
    })),
    ...details,
  };
}

function formatValue(value: number | null, unit: Comparison['unit']): string {
  if (value === null) return '-';
  if (unit === 'bytes') return mebibytes(value);
  if (unit === 'cosine') return value.toFixed(4);
  if (value < 0.1) return milliseconds(value);
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

/** A comparison as a line for people. */
export function formatComparison({ name, unit, ours, peer, ratio, ratioRange, peerName, peers }: Comparison): string {
  const range =
    ratioRange === undefined ? '' : ` (${ratioRange.map((bound) => bound.toFixed(2)).join(' to ')} by round)`;
  const result = ratio === null ? 'no peer' : `ratio ${ratio.toFixed(2)}${range} to ${peerName ?? ''}`;
  const others = peers
    .filter((other) => other.name !== peerName)
    .map((other) => `${other.name} ${formatValue(other.value, unit)} (${other.ratio.toFixed(2)})`);
  return [
    name.padEnd(40),
    `ours ${formatValue(ours, unit)}`.padEnd(16),
    `peer ${formatValue(peer, unit)}`.padEnd(16),
    [result, ...others].join('; '),
  ].join(' ');
}
