import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { categories } from '../../src/tasks/wordnet-categories.ts';

/** The lexicographer files of WordNet by number (lexnames(5WN)): 4 to 43 are those of the nouns and verbs without `noun.Tops`. */
const lexicographerFiles: readonly string[] = ['adj.all', 'adj.pert', 'adv.all', 'noun.Tops', ...categories, 'adj.ppl'];

export type PartOfSpeech = 'n' | 'v' | 'a' | 'r';

/** A pointer to another synset; `@` is a hypernym, `@i` an instance's class, `&` a similar adjective, `~` the converse of `@`. */
export interface Pointer {
  readonly symbol: string;
  readonly target: string;
}

export interface Synset {
  /** Part of speech and offset, unique in a release. */
  readonly id: string;
  readonly partOfSpeech: PartOfSpeech;
  readonly category: string;
  /** Its words as written, blanks for underscores. */
  readonly lemmas: readonly string[];
  readonly pointers: readonly Pointer[];
  /** What it means. */
  readonly gloss: string;
  /** Sentences and phrases that show one of its words in use. */
  readonly examples: readonly string[];
}

const files: readonly (readonly [file: string, partOfSpeech: PartOfSpeech])[] = [
  ['data.noun', 'n'],
  ['data.verb', 'v'],
  ['data.adj', 'a'],
  ['data.adv', 'r'],
];

/** Adjective satellites (`s`) are kept with the adjectives. */
function keyOf(partOfSpeech: string, offset: string): string {
  return `${partOfSpeech === 's' ? 'a' : partOfSpeech}${offset}`;
}

/** A gloss cut into what it says and the quotations after it. */
function cutGloss(text: string): { readonly gloss: string; readonly examples: readonly string[] } {
  const first = text.search(/;\s*(?:\([^()"]*\)\s*)?"/u);
  const clean = (part: string): string => part.replaceAll(/\s+/gu, ' ').trim();
  if (first < 0) return { gloss: clean(text.startsWith('"') ? '' : text), examples: [] };
  const examples = [...text.slice(first).matchAll(/"([^"]+)"/gu)].map((match) => clean(match[1] ?? ''));
  return { gloss: clean(text.slice(0, first)), examples: examples.filter((example) => example !== '') };
}

function parseLine(line: string, partOfSpeech: PartOfSpeech): Synset {
  const bar = line.indexOf('|');
  const fields = line.slice(0, bar).trim().split(' ');
  const [offset = '', file = '', , count = ''] = fields;
  const words = Number.parseInt(count, 16);
  const lemmas = Array.from({ length: words }, (_, i) =>
    (fields[4 + 2 * i] ?? '').replace(/\((?:a|p|ip)\)$/u, '').replaceAll('_', ' '),
  );
  const at = 4 + 2 * words;
  const pointers = Array.from({ length: Number(fields[at]) }, (_, i): Pointer => {
    const [symbol = '', target = '', kind = ''] = fields.slice(at + 1 + 4 * i);
    return { symbol, target: keyOf(kind, target) };
  });
  const category = lexicographerFiles[Number(file)];
  if (category === undefined || offset === '') throw new Error(`not a line of WordNet: ${line.slice(0, 60)}`);
  return {
    id: keyOf(partOfSpeech, offset),
    partOfSpeech,
    category,
    lemmas,
    pointers,
    ...cutGloss(line.slice(bar + 1)),
  };
}

/** Every synset of a WordNet database in the order of its files (wndb(5WN)). */
export async function readWordNet(folder: string): Promise<readonly Synset[]> {
  const synsets: Synset[] = [];
  for (const [file, partOfSpeech] of files) {
    const text = await readFile(join(folder, file), 'utf8');
    // The licence stands before the data, in lines that begin with a blank.
    for (const line of text.split('\n'))
      if (line !== '' && !line.startsWith(' ')) synsets.push(parseLine(line, partOfSpeech));
  }
  return synsets;
}
