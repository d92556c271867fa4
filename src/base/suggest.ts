/**
 * The edits that turn one text into the other, a swap of neighbours counting as one (the optimal string alignment distance).
 */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const deletion = (last[j] ?? 0) + 1;
      const insertion = (row[j - 1] ?? 0) + 1;
      const swap =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (beforeLast[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min(substitution, deletion, insertion, swap));
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/**
 * The candidate that `name` was probably meant to be: the nearest by {@link editDistance} without regard to case, the first of
 * equals, and none when more than a third of the longer of the two would have to change (one edit is always allowed).
 */
export function closestName(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase();
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    const allowed = Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3));
    if (distance <= allowed && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** The hint for an unknown name, to close an error with: `Did you mean "lora"? Known: bitfit, full, lora.` */
export function suggestion(name: string, candidates: Iterable<string>): string {
  const known = [...candidates];
  const closest = closestName(name, known);
  const list = known.length === 0 ? 'None is known.' : `Known: ${known.join(', ')}.`;
  return closest === undefined ? list : `Did you mean "${closest}"? ${list}`;
}
