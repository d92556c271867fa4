import { availableParallelism } from 'node:os';
import { availableProviders } from './backends/onnx/onnx-backend.ts';

/** What the user asked to compute on. */
export interface DeviceWish {
  /** `auto`, or a provider. */
  readonly provider: string;
  /** CPU threads; undefined for all that the process may use. */
  readonly threads: number | undefined;
}

/** What computes, and why. */
export interface Device {
  readonly provider: string;
  readonly threads: number;
  readonly reason: string;
}

/** Hyperthreads share the units that matrix products need; more threads than this seldom helps and starves the machine. */
const MOST_THREADS = 16;

/**
 * Turns a wish into a device. `auto` is the CPU: other providers are used when they are asked for by name.
 * An unknown provider is refused by the backend, which lists what there is.
 */
export async function chooseDevice(wish: DeviceWish): Promise<Device> {
  const threads = wish.threads ?? Math.min(availableParallelism(), MOST_THREADS);
  if (wish.provider !== 'auto') return { provider: wish.provider, threads, reason: 'asked for' };
  const others = (await availableProviders()).filter((provider) => provider !== 'cpu');
  const reason =
    others.length === 0 ? 'the only provider here' : `automatic; ${others.join(', ')} can be asked for by name`;
  return { provider: 'cpu', threads, reason };
}
