/**
 * The numbers that a method trains as a fraction of the weights that stay as they were, as papers tell it: a head is not counted.
 * @returns undefined where no weights stay, or it is not known how many, and for a method that trains nothing beside the head
 */
export function methodShare({
  method,
  frozen,
}: {
  readonly method: number;
  readonly frozen: number | null;
}): number | undefined {
  return frozen === null || frozen === 0 || method === 0 ? undefined : method / frozen;
}
