import { bytes, counted, duration, grouped, percent, score } from '../base/format.ts';
import { methodShare } from '../base/method-share.ts';
import type { JournalEvent } from './events.ts';

type EventOf<T extends JournalEvent['type']> = Extract<JournalEvent, { type: T }>;

function startedText(event: EventOf<'started'>): string {
  const { method, head } = event.parameters;
  const from = event.fromStep > 1 ? ` from step ${event.fromStep}` : '';
  const share = methodShare(event.parameters);
  const ofFrozen = share === undefined ? '' : `, ${percent(share, 1)} of the frozen weights`;
  return `${counted(event.totalSteps, 'step')} on ${event.device.provider}${from}; trains ${grouped(method)} parameters (method${ofFrozen}) + ${grouped(head)} (head)`;
}

function evaluationText(event: EventOf<'evaluation'>): string {
  const metrics = Object.entries(event.metrics)
    .filter(([name]) => name !== 'score')
    .map(([name, value]) => `${name} ${score(value)}`);
  const loss = event.loss === null ? 'not finite' : event.loss.toFixed(4);
  return `epoch ${event.epoch.toFixed(2)}  ${event.split}  ${metrics.join('  ')}  loss ${loss}${event.best ? '  best' : ''}`;
}

/** The loss of a step, for people; private runs tell none. */
export function lossOf(event: EventOf<'step'>): string {
  return event.loss?.toFixed(4) ?? '-';
}

function stepText(event: EventOf<'step'>): string {
  return `step ${event.step}  loss ${lossOf(event)}  learning rate ${event.learningRate.toPrecision(3)}  gradient ${event.gradientNorm?.toPrecision(3) ?? 'not finite'}  ${event.examplesPerSecond.toFixed(0)} examples/s`;
}

/** An event as a line for people; undefined for what only programs want to know. */
export function eventText(event: JournalEvent): string | undefined {
  switch (event.type) {
    case 'started':
      return startedText(event);
    case 'step':
      return stepText(event);
    case 'evaluation':
      return evaluationText(event);
    case 'log':
      return `${event.level}: ${event.message}`;
    case 'finished': {
      const how = event.reason === 'completed' ? 'finished' : 'stopped early, no gain';
      return `${how} after ${duration(event.trainSeconds * 1000)} of training, at most ${bytes(event.peakResidentBytes)} of memory`;
    }
    case 'stopped':
      return `stopped at step ${event.step}`;
    case 'failed':
      return `failed at step ${event.step}: ${event.message}`;
    case 'privacy': {
      const { noiseMultiplier, maxGradNorm, samplingRate, delta, insecure } = event;
      const facts = `noise ${noiseMultiplier.toPrecision(4)} of a clip at ${maxGradNorm}, sampling rate ${samplingRate.toPrecision(3)}, delta ${delta.toPrecision(3)}`;
      return insecure ? `not private, for tests only: ${facts} from a known seed` : `private: ${facts}`;
    }
    case 'checkpoint':
    case 'resources':
      return undefined;
  }
}

/** Tells which of a run's steps to show so that some `count` of them are, beginning with its `started` event. */
export function stepSieve(count: number): (event: JournalEvent) => boolean {
  let every = 1;
  return (event) => {
    if (event.type === 'started') every = Math.max(1, Math.round(event.totalSteps / count));
    return event.type !== 'step' || event.step % every === 0;
  };
}
