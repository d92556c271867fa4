import { forcedColours } from '../base/forced-colours.ts';
import { embeddedJson, escapeHtml } from '../base/html.ts';
import { handedRun, withMethodTitle, type MethodTitles, type RecordedRun } from './compared-run.ts';
import type { ComparisonOptions } from './comparison.ts';

/** A comparison as one HTML file that needs nothing beside it and sends nothing anywhere. */

export interface ReportOptions extends Pick<ComparisonOptions, 'rows' | 'metric' | 'at' | 'interval'> {
  /** The code of the page: the bundle `webviews/report.js`. */
  readonly script: string;
  readonly runs: readonly RecordedRun[];
  /** Which count of trained numbers it begins with; the total unless said otherwise. */
  readonly parameters?: 'method' | 'head' | 'total';
  /** What methods are called; their ids without. */
  readonly methods?: MethodTitles;
  /** What tasks are called, by id; the ids themselves without. */
  readonly tasks?: Readonly<Record<string, string>>;
  /** How else the page looks at the comparison to begin with, in the page's own terms. */
  readonly view?: Readonly<Record<string, unknown>>;
  /** What the page says, by the keys of its own strings, and the language of that (BCP 47); English without. */
  readonly strings?: Readonly<Record<string, string>>;
  readonly locale?: string;
  /** Of this program. */
  readonly version: string;
  /** When it is made. */
  readonly made: Date;
}

/** What stands in for the editor's theme, light or dark as the reader's system is. */
const light = {
  foreground: '#3b3b3b',
  descriptionForeground: '#616161',
  'editor-background': '#ffffff',
  'editorWidget-background': '#f3f3f3',
  'widget-border': '#d4d4d4',
  focusBorder: '#005fb8',
  'textLink-foreground': '#005fb8',
  'list-hoverBackground': '#f2f2f2',
  'toolbar-hoverBackground': '#b8b8b850',
  'editorHoverWidget-background': '#f8f8f8',
  'editorHoverWidget-foreground': '#3b3b3b',
  'editorHoverWidget-border': '#c8c8c8',
  'editorIndentGuide-background1': '#dcdcdc',
  'settings-dropdownBackground': '#ffffff',
  'settings-dropdownForeground': '#3b3b3b',
  'settings-dropdownBorder': '#cecece',
  'settings-dropdownListBorder': '#c8c8c8',
  'list-activeSelectionBackground': '#e8e8e8',
  'list-activeSelectionForeground': '#000000',
  'charts-red': '#c72e0f',
  'charts-blue': '#1a85ff',
  'charts-yellow': '#a07300',
  'charts-green': '#388a34',
  'charts-purple': '#652d90',
};

const dark: typeof light = {
  ...light,
  foreground: '#cccccc',
  descriptionForeground: '#9d9d9d',
  'editor-background': '#1f1f1f',
  'editorWidget-background': '#262626',
  'widget-border': '#3c3c3c',
  focusBorder: '#0078d4',
  'textLink-foreground': '#4daafc',
  'list-hoverBackground': '#2a2d2e',
  'toolbar-hoverBackground': '#5a5d5e50',
  'editorHoverWidget-background': '#202020',
  'editorHoverWidget-foreground': '#cccccc',
  'editorHoverWidget-border': '#454545',
  'editorIndentGuide-background1': '#383838',
  'settings-dropdownBackground': '#313131',
  'settings-dropdownForeground': '#cccccc',
  'settings-dropdownBorder': '#3c3c3c',
  'settings-dropdownListBorder': '#454545',
  'list-activeSelectionBackground': '#04395e',
  'list-activeSelectionForeground': '#ffffff',
  'charts-red': '#f14c4c',
  'charts-blue': '#3794ff',
  'charts-yellow': '#cca700',
  'charts-green': '#89d185',
  'charts-purple': '#b180d7',
};

function variables(colours: typeof light): string {
  return Object.entries(colours)
    .map(([name, value]) => `--vscode-${name}:${value}`)
    .join(';');
}

const style = [
  `:root{color-scheme:light;--vscode-font-family:system-ui,sans-serif;--vscode-font-size:14px;${variables(light)}}`,
  // Paper is light, whatever the screen is.
  `@media screen and (prefers-color-scheme:dark){:root{color-scheme:dark;${variables(dark)}}}`,
  'body{margin:0;background:var(--vscode-editor-background);color:var(--vscode-foreground);font-family:var(--vscode-font-family);font-size:var(--vscode-font-size)}',
  forcedColours,
].join('\n');

/** The source expression that allows exactly this text. */
async function hashSource(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`;
}

/**
 * The HTML of a report: the same chart and table as the editor's comparison, with the runs' numbers in the file. Its policy allows
 * nothing but the file's own script and style, by their hashes.
 * @throws RangeError for a script that can't stand in a page
 */
export async function comparisonReport(options: ReportOptions): Promise<string> {
  const {
    script,
    runs,
    rows,
    metric = 'score',
    at = 'best',
    interval,
    parameters = 'total',
    methods = {},
    tasks,
    view,
    strings,
    locale,
    version,
    made,
  } = options;
  if (/<\/script|<!--/i.test(script)) throw new RangeError('the script would end its own element');
  const data = {
    made: made.toISOString(),
    version,
    view: { metric, at, count: parameters, ...view },
    ...(rows === undefined ? {} : { rows }),
    ...(interval === undefined ? {} : { interval }),
    ...(tasks === undefined ? {} : { tasks }),
    ...(strings === undefined ? {} : { strings }),
    ...(locale === undefined ? {} : { locale }),
    runs: runs.map((run) => handedRun(withMethodTitle(run, methods), rows)),
  };
  const policy = [
    "default-src 'none'",
    `script-src ${await hashSource(script)}`,
    `style-src ${await hashSource(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  const title = `PEFT Lab: comparison of ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}`;
  return `<!DOCTYPE html>
<html lang="${escapeHtml(locale ?? 'en')}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escapeHtml(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<script type="application/json" id="data">${embeddedJson(data)}</script>
<script>${script}</script>
</body>
</html>
`;
}
