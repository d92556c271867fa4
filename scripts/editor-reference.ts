import { readFileSync } from 'node:fs';

/** The part of the extension's manifest that the page is made from. */
interface Manifest {
  readonly capabilities: { readonly untrustedWorkspaces: { readonly restrictedConfigurations: readonly string[] } };
  readonly contributes: {
    readonly commands: readonly { readonly command: string; readonly title: string; readonly category?: string }[];
    readonly menus: { readonly commandPalette?: readonly { readonly command: string; readonly when?: string }[] };
    readonly configuration: { readonly properties: Readonly<Record<string, Setting>> };
  };
}

interface Setting {
  readonly type: string;
  readonly default: unknown;
  readonly scope: string;
  readonly enum?: readonly string[];
  readonly enumDescriptions?: readonly string[];
  readonly description?: string;
  readonly markdownDescription?: string;
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'));
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

/** Where a setting may be set, as a person would ask. */
const scopes: Readonly<Record<string, string>> = {
  'machine-overridable': 'user, workspace',
  resource: 'user, workspace, folder',
  window: 'user, workspace',
};

/** The page of the editor's settings and commands, from the extension's own manifest and its texts. */
export function editorReference(): string {
  const { contributes, capabilities } = readJson('package.json') as Manifest;
  const restricted = capabilities.untrustedWorkspaces.restrictedConfigurations.map((name) => `\`${name}\``);
  const texts = readJson('package.nls.json') as Readonly<Record<string, string>>;
  const told = (key: string | undefined): string => (key === undefined ? '' : (texts[key.slice(1, -1)] ?? key));
  const settings = Object.entries(contributes.configuration.properties).map(([name, setting]) => {
    const choices = (setting.enum ?? []).map(
      (value, index) => `\`${value}\`: ${told(setting.enumDescriptions?.[index])}`,
    );
    const text = [told(setting.markdownDescription ?? setting.description), ...choices].join(' ');
    const where = scopes[setting.scope] ?? setting.scope;
    return `| \`${name}\` | \`${JSON.stringify(setting.default)}\` | ${where} | ${cell(text)} |`;
  });
  const hidden = new Set(
    (contributes.menus.commandPalette ?? []).flatMap(({ command, when }) => (when === 'false' ? [command] : [])),
  );
  const commands = contributes.commands
    .filter(({ command }) => !hidden.has(command))
    .map(({ command, title, category }) => `| ${cell(`${category ?? 'PEFT'}: ${told(title)}`)} | \`${command}\` |`);
  return `<!-- Made from package.json by scripts/editor-reference.ts; do not edit. -->
<!-- prettier-ignore-start -->

# Settings and commands of the editor

## Settings

While a folder is not trusted, its own values of ${restricted.join(', ')} are not taken.

| setting | default | where | what |
| --- | --- | --- | --- |
${settings.join('\n')}

## Commands

In the command palette; those of a run ask which one. The menus of the views have them too, where they apply. None has a key of its own; give it one
in Keyboard Shortcuts.

| command | id |
| --- | --- |
${commands.join('\n')}

<!-- prettier-ignore-end -->
`;
}
