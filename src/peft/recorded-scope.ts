import type { ParameterScope } from '../engine/graph/parameters.ts';
import type { Value } from '../engine/graph/value.ts';

/** A scope with the trained tensors that were declared through it so far. */
export function recordedScope(scope: ParameterScope): {
  readonly scope: ParameterScope;
  readonly declared: ReadonlyMap<string, Value>;
} {
  const declared = new Map<string, Value>();
  return {
    scope: {
      ...scope,
      trained: (name, ...rest) => {
        const value = scope.trained(name, ...rest);
        declared.set(name, value);
        return value;
      },
    },
    declared,
  };
}
