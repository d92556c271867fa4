import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { bundle, collectMessages } from '../../../scripts/l10n.mjs';
import { keptCheckpoints, noticeLevels, statusBarChoices } from '../../../src/editor/core/choices.ts';
import { runStates } from '../../../src/runs/run-states.ts';
import { queueNodes, type QueueNode } from '../../../src/editor/core/queue-tree.ts';
import { flagsOf } from '../../../src/editor/core/run-item.ts';
import { groupings, groupItem } from '../../../src/editor/core/run-tree.ts';
import {
  Command,
  ContextKey,
  PanelType,
  Setting,
  settingSection,
  View,
  ViewContainer,
  walkthroughId,
} from '../../../src/editor/ids.ts';
import { providers } from '../../../src/runs/configuration-schema.ts';
import { aRun } from './runs.ts';

const root = join(import.meta.dirname, '..', '..', '..');

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(root, file), 'utf8'));
}

const menuItem = z.object({ command: z.string(), when: z.string().optional(), group: z.string().optional() });
const property = z.looseObject({
  scope: z.string(),
  order: z.number(),
  default: z.unknown(),
  enum: z.array(z.string()).optional(),
  enumDescriptions: z.array(z.string()).optional(),
  description: z.string().optional(),
  markdownDescription: z.string().optional(),
  properties: z.record(z.string(), z.unknown()).optional(),
});

const manifest = z
  .object({
    main: z.string(),
    icon: z.string(),
    l10n: z.string(),
    activationEvents: z.array(z.string()),
    engines: z.object({ vscode: z.string() }),
    extensionKind: z.array(z.string()),
    capabilities: z.object({
      untrustedWorkspaces: z.object({ supported: z.string(), restrictedConfigurations: z.array(z.string()) }),
      virtualWorkspaces: z.object({ supported: z.boolean() }),
    }),
    contributes: z.object({
      commands: z.array(
        z.object({ command: z.string(), title: z.string(), category: z.string(), icon: z.string().optional() }),
      ),
      menus: z.record(z.string(), z.array(menuItem)),
      viewsContainers: z.object({ activitybar: z.array(z.object({ id: z.string(), icon: z.string() })) }),
      views: z.record(z.string(), z.array(z.object({ id: z.string(), icon: z.string() }))),
      viewsWelcome: z.array(z.object({ view: z.string(), contents: z.string(), when: z.string() })),
      configuration: z.object({ properties: z.record(z.string(), property) }),
      jsonValidation: z.array(z.object({ fileMatch: z.string(), url: z.string() })),
      languages: z.array(z.object({ id: z.string(), filenamePatterns: z.array(z.string()) })),
      walkthroughs: z.array(
        z.object({
          id: z.string(),
          steps: z.array(
            z.object({
              completionEvents: z.array(z.string()),
              media: z.object({ svg: z.string() }),
              description: z.string(),
            }),
          ),
        }),
      ),
    }),
  })
  .parse(readJson('package.json'));
const words = z.record(z.string(), z.string()).parse(readJson('package.nls.json'));
const text = readFileSync(join(root, 'package.json'), 'utf8');
const { contributes } = manifest;
const commands = contributes.commands.map(({ command }) => command);
const properties = contributes.configuration.properties;
const menus = Object.values(contributes.menus).flat();
const whens = [...menus.flatMap(({ when }) => when ?? []), ...contributes.viewsWelcome.map(({ when }) => when)];

describe('the manifest and the code agree on', () => {
  it('commands', () => {
    expect(commands.toSorted()).toEqual(Object.values(Command).toSorted());
    expect(new Set(commands).size).toBe(commands.length);
    expect(contributes.commands.filter(({ category }) => category !== 'PEFT')).toEqual([]);
    expect(menus.filter(({ command }) => !commands.includes(command))).toEqual([]);
    // A button needs a picture.
    const buttons = menus.filter(
      ({ group }) => group?.startsWith('navigation') === true || group?.startsWith('inline') === true,
    );
    for (const { command } of buttons)
      expect(contributes.commands.find((each) => each.command === command)?.icon, command).toMatch(/^\$\([\w-]+\)$/);
  });

  it('commands that texts of the manifest link to', () => {
    const linked = Object.values(words).flatMap((word) =>
      [...word.matchAll(/\(command:(peft\.\w+)\)/g)].map(([, id]) => id),
    );
    expect(linked.length).toBeGreaterThan(5);
    expect(linked.filter((id) => id !== undefined && !commands.includes(id))).toEqual([]);
  });

  it('views', () => {
    expect(contributes.viewsContainers.activitybar.map(({ id }) => id)).toEqual([ViewContainer]);
    expect(Object.keys(contributes.views)).toEqual([ViewContainer]);
    expect(contributes.views[ViewContainer]?.map(({ id }) => id).toSorted()).toEqual(Object.values(View).toSorted());
    expect(
      contributes.viewsWelcome.map(({ view }) => view).filter((id) => !(Object.values(View) as string[]).includes(id)),
    ).toEqual([]);
  });

  it('settings, with their scopes, defaults and values', () => {
    const keys = Object.values(Setting).map((key) => `${settingSection}.${key}`);
    expect(Object.keys(properties).toSorted()).toEqual(keys.toSorted());
    for (const [key, { description, markdownDescription, ...setting }] of Object.entries(properties)) {
      expect(setting.default, key).toBeDefined();
      expect(description ?? markdownDescription, key).toMatch(/^%setting\./);
      expect(setting.enumDescriptions?.length, key).toBe(setting.enum?.length);
    }
    const values = (key: string): unknown => properties[`${settingSection}.${key}`]?.enum;
    expect(values(Setting.groupBy)).toEqual([...groupings]);
    expect(values(Setting.keepCheckpoints)).toEqual([...keptCheckpoints]);
    expect(values(Setting.notifications)).toEqual([...noticeLevels]);
    expect(values(Setting.statusBar)).toEqual([...statusBarChoices]);
    const slots = Object.keys(properties[`${settingSection}.${Setting.slots}`]?.properties ?? {});
    expect(slots).toEqual(providers.filter((provider) => provider !== 'auto'));
    for (const key of [Setting.nodePath, Setting.libraryFolders])
      expect(properties[`${settingSection}.${key}`]?.scope).toBe('machine-overridable');
  });

  it('context keys', () => {
    const known = new Set<string>([...commands, ...Object.values(View), ...Object.values(PanelType)]);
    const read = new Set(
      whens.flatMap((when) => [...when.matchAll(/\bpeft\.\w+/g)].map(([key]) => key)).filter((key) => !known.has(key)),
    );
    expect([...read].toSorted()).toEqual(Object.values(ContextKey).toSorted());
  });

  it('what menus ask of the items of trees', () => {
    const run = (state: (typeof runStates)[number], starred: boolean): string => flagsOf({ state, starred });
    const groups = (['running', 'queued', ...groupings] as const).flatMap((by) =>
      [null, 'x'].map((value) => groupItem({ kind: 'group', id: '', folder: '', by, value }, []).contextValue),
    );
    const below = (node: QueueNode): readonly string[] => [node.contextValue, ...node.children.flatMap(below)];
    const queue = [true, false].flatMap((paused) =>
      queueNodes(
        [
          {
            key: 'f',
            name: 'f',
            paused,
            runs: new Map([['a', aRun('a')]]),
            slots: {},
            disk: { runs: 1, bytes: 1, checkpointBytes: 1 },
            queue: {
              supervised: !paused,
              claimed: [
                {
                  id: 'a',
                  device: 'cpu',
                  state: 'running',
                  reason: undefined,
                  stopAsked: false,
                  alive: true,
                  unseen: false,
                },
              ],
              waiting: [{ id: 'b', device: 'cpu' }],
            },
          },
        ],
        undefined,
      ).flatMap(below),
    );
    const values = [
      ...runStates.flatMap((state) => [run(state, true), run(state, false)]),
      flagsOf({ state: 'running', starred: false }, { unseen: true }),
      ...groups,
      ...queue,
      'folder',
      'more',
    ];
    const asked = whens.flatMap((when) =>
      [...when.matchAll(/viewItem =~ \/(.+?)\/(?= |$)/g)].map(([, pattern]) => pattern ?? ''),
    );
    expect(asked.length).toBeGreaterThan(10);
    for (const pattern of asked)
      expect(
        values.some((value) => new RegExp(pattern).test(value)),
        pattern,
      ).toBe(true);
    expect(new RegExp(asked[0] ?? '').test(run('finished', false))).toBe(false);
  });

  it('what is done with one run, only where one is selected', () => {
    const ofOne = [Command.openRun, Command.showLogs, Command.cloneRun, Command.editNote, Command.revealRunFolder];
    const items = (contributes.menus['view/item/context'] ?? []).filter(
      ({ command, when }) => (ofOne as readonly string[]).includes(command) && when?.includes(View.runs) === true,
    );
    expect(items.length).toBe(ofOne.length);
    for (const { command, when } of items) expect(when, command).toContain('!listMultiSelection');
  });

  it('starts only files of the machine that trains, there or as the window sees them', () => {
    for (const menu of ['editor/title/run', 'explorer/context'])
      for (const { command, when } of contributes.menus[menu] ?? []) {
        const [, schemes = ''] = /resourceScheme =~ \/(.+?)\/ /.exec(when ?? '') ?? [];
        const isOffered = (scheme: string): boolean => new RegExp(schemes).test(scheme);
        expect(['file', 'vscode-remote', 'untitled'].every(isOffered), command).toBe(true);
        expect(['git', 'vscode-vfs', 'output', 'files'].some(isOffered), command).toBe(false);
      }
  });

  it('the palette: what needs runs, or what was clicked, is not offered without', () => {
    const palette = contributes.menus['commandPalette'] ?? [];
    const whenOf = (id: string): string | undefined => palette.find(({ command }) => command === id)?.when;
    expect([Command.cancelRun, Command.showMore].map(whenOf)).toEqual(['false', 'false']);
    const always: readonly string[] = [
      ...[Command.startRun, Command.startSweep, Command.newConfiguration, Command.planPrivacyBudget],
      ...[Command.checkEnvironment, Command.installCuda, Command.refresh, Command.showOutput, Command.openWalkthrough],
    ];
    for (const id of commands) expect(whenOf(id) === undefined, id).toBe(always.includes(id));
  });

  it('the keyboard: what a tree offers as a button is in its context menu too', () => {
    const items = contributes.menus['view/item/context'] ?? [];
    const isInline = ({ group }: (typeof items)[number]): boolean => group?.startsWith('inline') === true;
    const viewOf = ({ when = '' }: (typeof items)[number]): string | undefined => /view == ([\w.]+)/.exec(when)?.[1];
    const inline = items.filter(isInline);
    expect(inline.length).toBeGreaterThan(5);
    for (const item of inline)
      expect(
        items.some((other) => !isInline(other) && other.command === item.command && viewOf(other) === viewOf(item)),
        `${item.command} in ${viewOf(item)}`,
      ).toBe(true);
  });

  it('what each view says where no folder is open', () => {
    const without = contributes.viewsWelcome.filter(({ when }) => when.includes('workspaceFolderCount == 0'));
    expect(without.map(({ view }) => view).toSorted()).toEqual(Object.values(View).toSorted());
    for (const { contents } of without)
      expect(words[contents.replaceAll('%', '')]).toContain('(command:vscode.openFolder)');
  });

  it('panels, the walkthrough and the language of configurations', () => {
    for (const type of Object.values(PanelType)) expect(manifest.activationEvents).toContain(`onWebviewPanel:${type}`);
    expect(manifest.activationEvents).not.toContain('*');
    const [walkthrough] = contributes.walkthroughs;
    expect(walkthrough?.id).toBe(walkthroughId);
    expect(walkthrough?.steps).toHaveLength(5);
    for (const { completionEvents, media } of walkthrough?.steps ?? []) {
      expect(completionEvents.length).toBeGreaterThan(0);
      for (const event of completionEvents) expect(commands).toContain(event.replace('onCommand:', ''));
      expect(existsSync(join(root, media.svg)), media.svg).toBe(true);
    }
    expect(contributes.jsonValidation[0]?.fileMatch).toBe('*.peft.json');
    expect(contributes.languages[0]?.filenamePatterns).toEqual(['*.peft.json']);
  });

  it('trust: what names programs counts only where the workspace is trusted', () => {
    expect(manifest.capabilities.untrustedWorkspaces.supported).toBe('limited');
    for (const key of [Setting.nodePath, Setting.libraryFolders])
      expect(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations).toContain(`${settingSection}.${key}`);
    for (const key of manifest.capabilities.untrustedWorkspaces.restrictedConfigurations)
      expect(Object.keys(properties)).toContain(key);
    expect(manifest.capabilities.virtualWorkspaces.supported).toBe(false);
    expect(manifest.extensionKind).toEqual(['workspace']);
    expect(manifest.engines.vscode).toBe('^1.101.0');
  });

  it('words: each is used, none is missing', () => {
    const used = new Set([...text.matchAll(/"%([^%"]+)%"/g)].map(([, key]) => key ?? ''));
    expect([...used].filter((key) => words[key] === undefined)).toEqual([]);
    expect(Object.keys(words).filter((key) => !used.has(key))).toEqual([]);
  });

  it('texts in code: the collection for translators is complete (node scripts/l10n.mjs makes it)', () => {
    const collected = z.record(z.string(), z.string()).parse(JSON.parse(readFileSync(bundle, 'utf8')));
    expect(Object.keys(collected)).toEqual(collectMessages());
    expect(collectMessages()).toContain("Don't Show Again");
  });

  it('the icon: a PNG of at least 128 pixels', () => {
    const png = readFileSync(join(root, manifest.icon));
    expect(png.subarray(1, 4).toString('latin1')).toBe('PNG');
    expect(Math.min(png.readUInt32BE(16), png.readUInt32BE(20))).toBeGreaterThanOrEqual(128);
  });
});
