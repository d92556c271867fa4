/** Answers that take a while, asked for once for each key. What was refused is asked for again. */
export interface KeptAnswers<T> {
  of(key: string, ask: () => Promise<T>): Promise<T>;
  /** From here on everything is asked for again. */
  forget(): void;
}

/** Answers by key, none yet. */
export function keptAnswers<T>(): KeptAnswers<T> {
  const answers = new Map<string, Promise<T>>();
  return {
    of(key, ask) {
      const known = answers.get(key);
      if (known !== undefined) return known;
      const asked = ask();
      answers.set(key, asked);
      asked.catch(() => {
        if (answers.get(key) === asked) answers.delete(key);
      });
      return asked;
    },
    forget: () => answers.clear(),
  };
}
