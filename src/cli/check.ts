/** What was looked at and what came of it. `advice` says what to do about a warning or a problem, or what else could be had. */
export interface Check {
  readonly name: string;
  readonly level: 'ok' | 'warning' | 'problem';
  readonly message: string;
  readonly advice: string | null;
}

/** A check that found what it looked for. */
export function good(name: string, message: string): Check {
  return { name, level: 'ok', message, advice: null };
}

/** A check that found what works but is not as it should be. */
export function doubtful(name: string, message: string, advice: string): Check {
  return { name, level: 'warning', message, advice };
}

/** A check that found what keeps runs from training. */
export function bad(name: string, message: string, advice: string): Check {
  return { name, level: 'problem', message, advice };
}
