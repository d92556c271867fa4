// Regenerates src/engine/backends/onnx/onnx_pb.ts from onnx.proto beside it: `node scripts/generate-onnx.mjs`.
// onnx.proto is the unaltered file of the PyPI package onnx 1.23.2 (Apache-2.0, by the ONNX project's contributors).
// npx fetches the compiler and its plugin: they are needed once a release of ONNX, not in every install.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';

const folder = fileURLToPath(new URL('../src/engine/backends/onnx', import.meta.url));
const packages = ['@bufbuild/buf@1.75.0', '@bufbuild/protoc-gen-es@2.17.0'];
const template = {
  version: 'v2',
  plugins: [{ local: 'protoc-gen-es', out: '.', opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'] }],
};
const { status } = spawnSync(
  'npx',
  [
    '--yes',
    ...packages.flatMap((name) => ['--package', name]),
    'buf',
    'generate',
    '--template',
    JSON.stringify(template),
  ],
  { cwd: folder, stdio: 'inherit' },
);
if (status === 0) {
  const file = `${folder}/onnx_pb.ts`;
  const generated = readFileSync(file, 'utf8').replace('/* eslint-disable */\n', '');
  writeFileSync(file, await format(generated, { ...(await resolveConfig(file)), filepath: file }));
}
process.exitCode = status ?? 1;
