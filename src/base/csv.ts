/** Spreadsheets compute what begins so, and a text may come from anybody; behind an apostrophe it stays text. A number stays one. */
function isFormula(text: string): boolean {
  return /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text));
}

/** A value as a field of a CSV file (RFC 4180), quoted where it must be; nothing as an empty one. */
export function csvField(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return '';
  const text = typeof value === 'string' && isFormula(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
