/** Numbers as people read them, in the language of the editor. */
export interface Formats {
  /** `1,024`. */
  readonly integer: (value: number) => string;
  /** Four significant digits; very small and very large numbers with an exponent. */
  readonly number: (value: number) => string;
  /** A metric: four digits after the point as papers give them, `0.8000`; one beyond 1, such as a perplexity, as any number. */
  readonly metric: (value: number) => string;
  /** So many digits after the point: `0.80`. */
  readonly fixed: (value: number, digits: number) => string;
  /** A fraction in percent, without the sign: `93.5`. */
  readonly percent: (fraction: number, digits?: number) => string;
  /** `0.27 %`, with enough digits to tell a small share from nothing. */
  readonly share: (fraction: number) => string;
  /** A few characters, for axes: `1.2M`. */
  readonly compact: (value: number) => string;
  /** As `compact`; numbers too small or too great for its letters as `1.2E-4` and `1E15`. */
  readonly compactOrScientific: (value: number) => string;
  /** `1.8 GB`. */
  readonly bytes: (count: number) => string;
  /** `2 h 05 min`, `3 min 20 s`, `12 s`, `0.4 s`. */
  readonly duration: (milliseconds: number) => string;
  /** Date and time of day. */
  readonly moment: (time: number) => string;
  /** Time of day with seconds. */
  readonly clock: (time: number) => string;
}

function locales(locale: string): string[] {
  try {
    return Intl.getCanonicalLocales(locale);
  } catch {
    return ['en'];
  }
}

/** The digits after the point that tell apart round numbers with this gap, at least a millionth, between them: 0 for 5, 1 for 0.5, 2 for 0.25. */
export function digitsOf(gap: number): number {
  // Six digits leave out the rounding of a difference: 0.57 - 0.56 is a little less than 0.01.
  return (String(Number(gap.toPrecision(6))).split('.')[1] ?? '').length;
}

const byteUnits = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** The formats of a language (BCP 47); English where there is no such language. */
export function formatsOf(locale: string): Formats {
  const language = locales(locale);
  // What rounds to nothing is 0: a sign would tell of a number that cannot be read.
  const numberFormat = (options: Intl.NumberFormatOptions): Intl.NumberFormat =>
    new Intl.NumberFormat(language, { signDisplay: 'negative', ...options });
  const whole = numberFormat({ maximumFractionDigits: 0 });
  const compact = numberFormat({ notation: 'compact', maximumSignificantDigits: 3 });
  const significant = numberFormat({ maximumSignificantDigits: 4 });
  const scientific = numberFormat({ notation: 'scientific', maximumSignificantDigits: 4 });
  const day = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' });
  const clock = new Intl.DateTimeFormat(language, { timeStyle: 'medium' });
  const fixed = (digits: number): Intl.NumberFormat =>
    numberFormat({ minimumFractionDigits: digits, maximumFractionDigits: digits });
  const fixedDigits = new Map<number, Intl.NumberFormat>();
  const withDigits = (value: number, digits: number): string => {
    const format = fixedDigits.get(digits) ?? fixed(digits);
    fixedDigits.set(digits, format);
    return format.format(value);
  };
  const two = (value: number): string => String(value).padStart(2, '0');
  const isTime = (time: number): boolean => Number.isFinite(time) && Math.abs(time) <= 8.64e15;

  const number = (value: number): string => {
    if (!Number.isFinite(value)) return String(value);
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-4 || size >= 1e9) ? scientific.format(value) : significant.format(value);
  };

  return {
    integer: (value) => whole.format(value),
    number,
    metric: (value) => (Math.abs(value) <= 1 ? withDigits(value, 4) : number(value)),
    fixed: withDigits,
    percent: (fraction, digits = 1) => withDigits(100 * fraction, digits),
    share(fraction) {
      const percent = 100 * fraction;
      return `${percent !== 0 && Math.abs(percent) < 0.1 ? significant.format(Number(percent.toPrecision(2))) : withDigits(percent, 2)} %`;
    },
    compact: (value) => compact.format(value),
    compactOrScientific: (value) =>
      Math.abs(value) < 1 || Math.abs(value) >= 1e15 ? scientific.format(value) : compact.format(value),
    bytes(count) {
      const power = count < 1000 ? 0 : Math.min(byteUnits.length - 1, Math.floor(Math.log10(count) / 3));
      return `${withDigits(count / 1000 ** power, power === 0 ? 0 : 1)} ${byteUnits[power] ?? ''}`;
    },
    duration(milliseconds) {
      if (milliseconds < 9950) return `${withDigits(milliseconds / 1000, 1)} s`;
      const seconds = Math.round(milliseconds / 1000);
      if (seconds < 60) return `${seconds} s`;
      const minutes = Math.floor(seconds / 60);
      if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
      return `${whole.format(Math.floor(minutes / 60))} h ${two(minutes % 60)} min`;
    },
    moment: (time) => (isTime(time) ? day.format(time) : '–'),
    clock: (time) => (isTime(time) ? clock.format(time) : '–'),
  };
}
