/** A point of a trade-off: the less `cost` and the more `gain`, the better. */
export interface TradeOff {
  /** Trainable parameters, or epsilon. */
  readonly cost: number;
  /** The score. */
  readonly gain: number;
}

/** Whether `a` is at least as good as `b` in both and better in one. */
export function dominates(a: TradeOff, b: TradeOff): boolean {
  return a.cost <= b.cost && a.gain >= b.gain && (a.cost < b.cost || a.gain > b.gain);
}

/**
 * The points that no other point dominates, by ascending cost (and so by ascending gain). Equal points are all kept; points that
 * are not numbers are none of the front.
 */
export function paretoFront<P extends TradeOff>(points: readonly P[]): readonly P[] {
  const byCost = points
    .filter(({ cost, gain }) => !Number.isNaN(cost) && !Number.isNaN(gain))
    .sort((a, b) => (a.cost === b.cost ? b.gain - a.gain : a.cost - b.cost));
  const front: P[] = [];
  for (const point of byCost) {
    const last = front.at(-1);
    const isEqual = last?.cost === point.cost && last.gain === point.gain;
    if (last === undefined || point.gain > last.gain || isEqual) front.push(point);
  }
  return front;
}
