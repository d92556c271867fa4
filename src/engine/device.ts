import { availableParallelism } from 'node:os';
import { age } from '../base/format.ts';
import {
  candidates,
  cudaOutlook,
  webgpuOutlook,
  type Candidate,
  type MachineFacts,
  type Outlook,
} from './graphics/outlook.ts';
import { readMachine } from './graphics/machine.ts';
import { runProbe } from './run-probe.ts';
import type { Precision } from './graph/float-types.ts';

/** What the user asked to compute on. */
export interface DeviceWish {
  /** `auto`, or a provider. */
  readonly provider: string;
  /** CPU threads; undefined for this run's share of those that the process may use. */
  readonly threads: number | undefined;
  /** How many runs compute at once on the device, this one among them; 1 when absent. */
  readonly sharers?: number;
  /** Which of several GPUs; undefined for the first. */
  readonly index?: number | undefined;
}

/** What a step asks of a device, roughly. */
export interface StepWork {
  /** Floating-point operations in matrix products. */
  readonly flops: number;
  /** Operations of the graph: each costs a device some time, however small it is. */
  readonly operations: number;
  /** Whether products with frozen matrices are computed with 8-bit integers, which the CPU alone does. */
  readonly eightBit?: boolean;
  /** What products over all tokens are computed in; float32 when absent. */
  readonly precision?: Precision;
}

/** What computes, and why. */
export interface Device {
  readonly provider: string;
  readonly threads: number;
  /** Which of several GPUs, where one was asked for. */
  readonly index?: number;
  readonly reason: string;
}

/** What came of trying a device. */
export type ProbeResult =
  | {
      readonly kind: 'works';
      /** Floating-point operations a second in a large matrix product, and the CPU's. */
      readonly rate: number;
      readonly cpuRate: number;
      /** Seconds that the smallest operation of a graph takes. */
      readonly secondsPerOperation: number;
      /** How long ago another run tried it, whose word is taken. */
      readonly sinceMs?: number;
    }
  | { readonly kind: 'fails'; readonly reason: string };

/** Tries a provider without risk to this process, at products in the precision that they will be computed in. */
export type Probe = (provider: string, threads: number, precision: Precision) => Promise<ProbeResult>;

export interface DeviceChoice {
  readonly device: Device;
  /** What the user should know: a device that was passed over although it is there, or one that will disappoint. */
  readonly warnings: readonly string[];
}

/** Hyperthreads share the units that matrix products need; more threads than this seldom helps and starves the machine. */
const MOST_THREADS = 16;

/** How many times as fast as the CPU a device must be: one that is hardly faster is not worth the way to it and back. */
export const LEAST_GAIN = 1.5;

/** `4.2 ms`. */
function timeText(seconds: number): string {
  return seconds < 1 ? `${(1000 * seconds).toPrecision(2)} ms` : `${seconds.toPrecision(2)} s`;
}

interface Judgement {
  readonly worthwhile: boolean;
  readonly text: string;
}

/** Whether a device is enough faster than the CPU: at the step that it is chosen for, or where that is not known at large products. */
function judge(result: ProbeResult & { readonly kind: 'works' }, work: StepWork | undefined): Judgement {
  const { rate, cpuRate, secondsPerOperation, sinceMs } = result;
  const when = sinceMs === undefined ? '' : ` (tried by another run ${age(sinceMs)} ago)`;
  const rates = `matrix products at ${rateText(rate)}, against ${rateText(cpuRate)} on the CPU${when}`;
  if (work === undefined) return { worthwhile: rate >= LEAST_GAIN * cpuRate, text: rates };
  const own = work.flops / rate + work.operations * secondsPerOperation;
  const onCpu = work.flops / cpuRate;
  return {
    worthwhile: onCpu >= LEAST_GAIN * own,
    text: `${rates}: about ${timeText(own)} a step, against ${timeText(onCpu)}`,
  };
}

/** `1.2 TFLOP/s`. */
function rateText(rate: number): string {
  return rate < 1e12 ? `${(rate / 1e9).toFixed(0)} GFLOP/s` : `${(rate / 1e12).toFixed(1)} TFLOP/s`;
}

/** What `auto` most probably comes to, told without trying it: where a run is counted before it is started. */
export function likelyProvider(facts: MachineFacts): string {
  return candidates(facts)[0]?.provider ?? 'cpu';
}

async function chooseAutomatically(
  threads: number,
  work: StepWork | undefined,
  facts: MachineFacts,
  probe: Probe,
): Promise<DeviceChoice> {
  const found = candidates(facts);
  const warnings: string[] = [];
  const slower: string[] = [];
  const nameOf = ({ provider, on }: Candidate): string => `${provider} on ${on}`;
  for (const candidate of found) {
    const { provider } = candidate;
    const result = await probe(provider, threads, work?.precision ?? 'float32');
    if (result.kind === 'fails') {
      warnings.push(`${nameOf(candidate)} cannot be used: ${result.reason}`);
      continue;
    }
    const { worthwhile, text } = judge(result, work);
    if (!worthwhile) {
      slower.push(`${nameOf(candidate)} works, with ${text}`);
      continue;
    }
    const reason = `automatic: ${nameOf(candidate)} computes a graph and its gradients right, ${text}`;
    return {
      device: { provider, threads, reason },
      warnings: warnings.map((warning) => `${warning}; ${provider} trains`),
    };
  }
  const outlook = webgpuOutlook(facts);
  if (found.length === 0 && outlook.state === 'unlikely') {
    const useless = outlook.obstacle === 'no GPU' || outlook.obstacle === 'only software';
    if (!useless && (facts.gpus?.gpus.length ?? 0) > 0)
      warnings.push(
        `the GPU is not used: ${outlook.message}${outlook.advice === undefined ? '' : `. ${outlook.advice}`}`,
      );
    slower.push(outlook.message);
  }
  const reason = ['automatic', ...slower, ...warnings.slice(0, found.length)].join('; ');
  return {
    device: { provider: 'cpu', threads, reason },
    warnings: warnings.map((text) => (found.length === 0 ? text : `${text}; the CPU trains`)),
  };
}

/** The threads of one of several runs that compute at once: more than there are cores would only wait for one another. */
export function shareOfThreads(cores: number, sharers = 1): number {
  return Math.max(1, Math.min(Math.floor(cores / sharers), MOST_THREADS));
}

/**
 * Turns a wish into a device. `auto` tries what the machine's files promise, best first, and takes what computes a known graph right and
 * faster than the CPU; drivers that compute on the CPU are not tried. A provider asked for by name is taken as it is; an unknown one is
 * refused by the backend, which lists what there is.
 * @param work of a step; where it is not known, large matrix products decide
 */
export async function chooseDevice(
  wish: DeviceWish,
  work?: StepWork,
  facts: MachineFacts = readMachine(),
  probe: Probe = runProbe,
): Promise<DeviceChoice> {
  const threads = wish.threads ?? shareOfThreads(availableParallelism(), wish.sharers);
  if (wish.provider === 'auto' && work?.eightBit === true)
    return { device: { provider: 'cpu', threads, reason: 'automatic: only the CPU computes in 8 bits' }, warnings: [] };
  if (wish.provider === 'auto') return chooseAutomatically(threads, work, facts, probe);
  const device: Device =
    wish.index === undefined
      ? { provider: wish.provider, threads, reason: 'asked for' }
      : { provider: wish.provider, threads, index: wish.index, reason: `asked for, GPU ${wish.index}` };
  return { device, warnings: warningsOfNamed(wish.provider, facts) };
}

const outlooks: Readonly<Record<string, (facts: MachineFacts) => Outlook>> = {
  webgpu: webgpuOutlook,
  cuda: cudaOutlook,
  tensorrt: cudaOutlook,
};

/** What the machine's files say against a provider that was asked for by name. That it is not in the runtime, the backend says. */
function warningsOfNamed(provider: string, facts: MachineFacts): readonly string[] {
  const outlook = outlooks[provider]?.(facts);
  if (outlook?.state !== 'unlikely' || outlook.obstacle === 'not in the runtime') return [];
  const { obstacle, message, advice } = outlook;
  if (obstacle === 'only software') return [`${provider} will be slower than the CPU: ${message}`];
  return [`${provider} will hardly start: ${message}${advice === undefined ? '' : `. ${advice}`}`];
}
