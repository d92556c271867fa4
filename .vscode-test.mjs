// Read by @vscode/test-cli, which `npm run test:electron` starts with these variables set.
import { readFileSync } from 'node:fs';
import { defineConfig } from '@vscode/test-cli';
import { mochaOptions } from './test/extension/options.mjs';

const { engines } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const asked = (process.env['PEFT_TEST_VERSIONS'] ?? '').split(' ').filter((version) => version !== '');
const versions = asked.length > 0 ? asked : [engines.vscode.replace('^', ''), 'stable'];

export default defineConfig(
  versions.map((version) => ({
    label: version,
    version,
    files: '.cache/extension-tests/*.test.cjs',
    extensionDevelopmentPath: import.meta.dirname,
    workspaceFolder: process.env['PEFT_TEST_WORKSPACE'] ?? import.meta.dirname,
    mocha: mochaOptions,
    launchArgs: ['--disable-workspace-trust', '--disable-extensions'],
  })),
);
