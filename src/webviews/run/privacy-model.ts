import type { Question } from '../protocol.ts';
import type { CurveData } from './curve-data.ts';
import {
  auditAnswer,
  localAnswer,
  privacyAnswer,
  type AuditAnswer,
  type LocalAnswer,
  type PrivacyAnswer,
} from './privacy-messages.ts';

/** What the privacy card knows. Nothing is asked for before somebody looks at it. */
export interface PrivacyModel {
  readonly record: () => PrivacyAnswer | undefined;
  readonly audit: () => AuditAnswer | undefined;
  /** What epsilon does not cover; undefined until it was asked for. */
  readonly local: () => ReadonlyMap<string, CurveData> | undefined;
  /** The card is shown while the run stands at `mark`; asks when that has changed. */
  readonly look: (mark: string) => void;
  readonly askAudit: () => void;
  readonly askLocal: () => void;
  readonly isAuditing: () => boolean;
}

export interface PrivacyModelOptions {
  readonly ask: (question: Question) => Promise<unknown>;
  readonly onChange: () => void;
  readonly onProblem: (problem: unknown) => void;
}

/** So many points of a local curve are shown. */
const localPoints = 1000;

/** A local curve as the charts take one: it has steps and values, epochs follow from the rate, and times are not kept. */
export function localCurve({ step, value, total }: LocalAnswer[number], samplingRate: number): CurveData {
  const perEpoch = Math.max(1, Math.round(1 / samplingRate));
  return {
    step: [...step],
    epoch: [...step].map((each) => each / perEpoch),
    time: [...step].map(() => NaN),
    value: [...value],
    smoothed: undefined,
    total,
  };
}

/** What the privacy card knows: the public record, the audit that was asked for, and the local record while it is shown. */
export function makePrivacyModel({ ask, onChange, onProblem }: PrivacyModelOptions): PrivacyModel {
  let record: PrivacyAnswer | undefined;
  let audit: AuditAnswer | undefined;
  let local: ReadonlyMap<string, CurveData> | undefined;
  let seen: string | undefined;
  let isLooking = false;
  let isAuditing = false;

  async function load(): Promise<void> {
    record = privacyAnswer.parse(await ask({ kind: 'privacy' })) ?? undefined;
    if (local !== undefined) await loadLocal();
  }

  async function loadLocal(): Promise<void> {
    const curves = localAnswer.parse(await ask({ kind: 'localCurves', points: localPoints }));
    const rate = record?.ledger.samplingRate ?? 1;
    local = new Map(curves.map((curve) => [curve.metric, localCurve(curve, rate)]));
  }

  function look(mark: string): void {
    if (mark === seen || isLooking) return;
    seen = mark;
    isLooking = true;
    load()
      .catch(onProblem)
      .finally(() => {
        isLooking = false;
        // If the run has moved on meanwhile, the drawing that follows looks again.
        onChange();
      });
  }

  return {
    record: () => record,
    audit: () => audit,
    local: () => local,
    look,
    askAudit() {
      if (isAuditing) return;
      isAuditing = true;
      onChange();
      ask({ kind: 'audit' })
        .then((answer) => {
          audit = auditAnswer.parse(answer);
        })
        .catch(onProblem)
        .finally(() => {
          isAuditing = false;
          onChange();
        });
    },
    askLocal() {
      loadLocal().then(onChange, onProblem);
    },
    isAuditing: () => isAuditing,
  };
}
