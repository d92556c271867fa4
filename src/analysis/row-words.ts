/**
 * What rows are called by settings whose values alone tell nobody what they are of; `{value}` stands for the value. Panels and reports
 * have the same words in the reader's language.
 */
export interface RowWords {
  readonly rowDelta: string;
  readonly rowEpsilon: string;
  readonly rowNoise: string;
  readonly rowSeed: string;
  /** Of private runs that leave the setting to the program. */
  readonly rowNoDelta: string;
  readonly rowNoEpsilon: string;
  readonly rowNoNoise: string;
  /** Of runs that are not private. */
  readonly noPrivacy: string;
}

export const englishRowWords: RowWords = {
  rowDelta: 'δ {value}',
  rowEpsilon: 'ε {value}',
  rowNoise: 'noise {value}',
  rowSeed: 'seed {value}',
  rowNoDelta: 'no δ set',
  rowNoEpsilon: 'no ε set',
  rowNoNoise: 'no noise set',
  noPrivacy: 'no privacy',
};
