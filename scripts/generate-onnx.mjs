// Regenerates src/engine/backends/onnx/onnx_pb.ts from onnx.proto beside it: `node scripts/generate-onnx.mjs`.
// The compiler and the plugin are fetched by npx when asked for: they are needed once per release of ONNX, not in every install.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

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
  { cwd: folder, stdio: 'inherit', shell: process.platform === 'win32' },
);
process.exitCode = status ?? 1;
