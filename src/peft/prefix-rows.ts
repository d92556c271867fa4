import { linear } from '../engine/graph/functions.ts';
import { broadcast, dimAt, multiply, reshape, slice, tanh } from '../engine/graph/operations.ts';
import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';
import type { EncoderSizes, LayerPlace, MethodHooks } from './method.ts';

export interface PrefixChoice {
  /** p: rows in front of the keys and of the values of each layer. */
  readonly length: number;
  /** Whether a network makes the rows from p rows of its own. */
  readonly reparametrise: boolean;
  /** m: the network's inner width. */
  readonly bottleneck: number;
  /** The deviation of the rows, or of the network's own rows. */
  readonly initScale: number;
  /** On the rows, drawn for each example. */
  readonly dropout: number;
}

/** The rows of a prefix that no network makes. */
export const FLAT_ROWS = 'method.prefix.rows';

/** Of each layer, `[1, p, h]`, in the columns of `rows` `[p, 2 L h]`: keys of layer l at 2 l h, values behind them. */
function layerRows(
  rows: Value,
  { hiddenSize: width }: EncoderSizes,
  layer: number,
): { readonly keys: Value; readonly values: Value } {
  const length = dimAt(rows, 0);
  const part = (index: number): Value =>
    reshape(slice(rows, 1, index * width, (index + 1) * width), [1, length, width]);
  return { keys: part(2 * layer), values: part(2 * layer + 1) };
}

/**
 * All rows of a prefix, `[p, 2 L h]`: trained as they are, or tanh(E Dᵀ + d) Uᵀ + u with trained E `[p, h]`, D `[m, h]`, U `[2 L h, m]`.
 */
export function prefixTable(
  { length, reparametrise, bottleneck, initScale }: PrefixChoice,
  { hiddenSize: width, layers }: EncoderSizes,
  scope: ParameterScope,
): Value {
  const columns = 2 * layers * width;
  if (!reparametrise) {
    return scope.trained(FLAT_ROWS, [length, columns], { kind: 'normal', deviation: initScale });
  }
  const map = (name: string, to: number, from: number): { readonly weight: Value; readonly bias: Value } => {
    const law = { kind: 'uniform', bound: 1 / Math.sqrt(from) } as const;
    return {
      weight: scope.trained(`method.prefix.${name}.weight`, [to, from], law),
      bias: scope.trained(`method.prefix.${name}.bias`, [to], law),
    };
  };
  const own = scope.trained('method.prefix.embedding', [length, width], { kind: 'normal', deviation: initScale });
  const down = map('down', bottleneck, width);
  const up = map('up', columns, bottleneck);
  return linear(tanh(linear(own, down.weight, down.bias)), up.weight, up.bias);
}

/**
 * Prefixes of every layer as a hook: p rows before the keys and p before the values, the same for every example.
 * @param gate gives `[batch, 1, 1]` from the layer's input and multiplies both
 */
export function declarePrefix(
  choice: PrefixChoice,
  encoder: EncoderSizes,
  scope: ParameterScope,
  gate?: (x: Value, place: LayerPlace) => Value,
): NonNullable<MethodHooks['prefix']> {
  const table = prefixTable(choice, encoder, scope);
  return (x, place) => {
    const { keys, values } = layerRows(table, encoder, place.layer);
    const opened = gate?.(x, place);
    const finished = (rows: Value): Value => {
      const each = choice.dropout === 0 ? rows : broadcast(rows, [dimAt(x, 0), dimAt(rows, 1), dimAt(rows, 2)]);
      const dropped = choice.dropout === 0 ? each : scope.dropout(each, choice.dropout);
      return opened === undefined ? dropped : multiply(dropped, opened);
    };
    return { keys: finished(keys), values: finished(values) };
  };
}
