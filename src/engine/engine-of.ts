import type { Backend } from './backends/backend.ts';
import { onnxBackend, requireProvider } from './backends/onnx/onnx-backend.ts';
import { describeLibrary, findTfjs } from './backends/tfjs/library.ts';
import { backendOn, TFJS } from './backends/tfjs/tfjs-backend.ts';
import type { Device } from './device.ts';

/** What runs the graphs of a device. */
export interface Engine {
  readonly backend: Backend;
  /** The device, as the record of a run tells of it. */
  readonly device: Device;
  /** The versions of the packages that compute, beside the program's own. */
  readonly packages: Readonly<Record<string, string>>;
}

/** The backend for a device. @throws UserError where it needs a provider or a library that is not installed, with how to install it */
export async function engineOf(device: Device): Promise<Engine> {
  if (device.provider !== TFJS) {
    await requireProvider(device.provider);
    return { backend: onnxBackend, device, packages: {} };
  }
  const library = await findTfjs(device.threads);
  return {
    backend: backendOn(library),
    device: {
      ...device,
      // JavaScript computes on one.
      threads: library.backend === 'cpu' ? 1 : device.threads,
      reason: `${device.reason}; ${describeLibrary(library)}`,
    },
    packages: { [library.name]: library.version },
  };
}
