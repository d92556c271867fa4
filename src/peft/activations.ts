import { geluTanh } from '../engine/graph/functions.ts';
import { gelu, less, multiply, relu, sigmoid, tanh, where } from '../engine/graph/operations.ts';
import type { Value } from '../engine/graph/value.ts';

/** The names of the non-linearities that a method may put between its own maps. */
export const activationNames = [
  'gelu',
  'gelu-tanh',
  'relu',
  'leaky-relu',
  'swish',
  'tanh',
  'sigmoid',
  'identity',
] as const;

export type Activation = (typeof activationNames)[number];

/** The slope of `leaky-relu` below zero. */
const LEAK = 0.01;

/** A non-linearity, element by element: `gelu` is x Φ(x), `gelu-tanh` its approximation with tanh, `swish` x σ(x). */
export function activate(activation: Activation, x: Value): Value {
  switch (activation) {
    case 'gelu':
      return gelu(x);
    case 'gelu-tanh':
      return geluTanh(x);
    case 'relu':
      return relu(x);
    case 'leaky-relu':
      return where(less(0, x), x, multiply(x, LEAK));
    case 'swish':
      return multiply(x, sigmoid(x));
    case 'tanh':
      return tanh(x);
    case 'sigmoid':
      return sigmoid(x);
    case 'identity':
      return x;
  }
}
