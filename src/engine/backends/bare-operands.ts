import { sameShape, type Shape } from '../graph/dims.ts';
import { broadcastShapes, inputAt } from '../graph/operations.ts';
import type { Value } from '../graph/value.ts';

/** The operands of an elementwise operation without broadcasts that it does by itself. */
export function bareOperands(value: Value): readonly Value[] {
  const operands = [...value.inputs];
  operands.forEach((operand, index) => {
    if (operand.operation.kind !== 'broadcast') return;
    const bare = inputAt(operand, 0);
    const shapes = operands.map((other, at) => (at === index ? bare.shape : other.shape));
    const result = shapes.reduce<Shape | undefined>((a, b) => (a === undefined ? a : broadcastShapes(a, b)), []);
    if (result !== undefined && sameShape(result, value.shape)) operands[index] = bare;
  });
  return operands;
}
