import '@vscode-elements/elements/dist/vscode-button/index.js';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { factList, factsStyle, type Fact } from '../components/facts.ts';
import { keepFocus } from '../components/kept-focus.ts';
import { base } from '../components/styles.ts';
import type { Formats } from '../format.ts';
import '../plan/line-chart.ts';
import type { LineModel } from '../plan/line-chart.ts';
import { curveText, epsilonText } from '../plan/texts.ts';
import { fill, type StringKey, type Strings } from '../strings.ts';
import type { ChartPlan } from './charts.ts';
import './curve-chart.ts';
import type { ChartModel } from './curve-chart.ts';
import type { CurveData } from './curve-data.ts';
import type { AuditAnswer, PrivacyAnswer } from './privacy-messages.ts';
import type { PrivacyModel } from './privacy-model.ts';

/** What the card is given. */
export interface PrivacyCardModel {
  readonly privacy: PrivacyModel;
  readonly strings: Strings;
  readonly formats: Formats;
  /** The charts that are shown as tables. */
  readonly tables: readonly string[];
  readonly onTable: (chart: string) => void;
}

const epsilonChart = 'privacy epsilon';

/** The local curves, in their order. */
const locals: readonly { readonly metric: string; readonly title: StringKey }[] = [
  { metric: 'loss', title: 'localLoss' },
  { metric: 'gradientNorm', title: 'localGradientNorm' },
  { metric: 'clipped', title: 'localClipped' },
  { metric: 'drawn', title: 'localDrawn' },
];

const relations: Readonly<Record<string, StringKey>> = { 'add-or-remove-one': 'relationAddOrRemove' };

const clippings: Readonly<Record<string, StringKey>> = {
  flat: 'clippingFlat',
  automatic: 'clippingAutomatic',
  adaptive: 'clippingAdaptive',
};

const accountants: Readonly<Record<string, StringKey>> = {
  tightest: 'accountantTightest',
  prv: 'accountantPrv',
  rdp: 'accountantRdp',
};

function named(names: Readonly<Record<string, StringKey>>, name: string, strings: Strings): string {
  const key = Object.hasOwn(names, name) ? names[name] : undefined;
  return key === undefined ? name : strings[key];
}

/** The card's facts. */
function privacyFacts(record: PrivacyAnswer, strings: Strings, formats: Formats): readonly Fact[] {
  const { ledger, released, repeated, epsilon, planned } = record;
  const steps = fill(strings.stepsReleased, {
    n: formats.integer(released),
    total: formats.integer(ledger.plannedSteps),
  });
  return [
    { title: strings.epsilonSoFar, value: epsilonText(epsilon, strings, formats), detail: steps },
    {
      title: strings.epsilonPlanned,
      value: epsilonText(planned, strings, formats),
      ...(ledger.targetEpsilon === undefined
        ? {}
        : { detail: fill(strings.epsilonTarget, { target: formats.number(ledger.targetEpsilon) }) }),
    },
    { title: strings.delta, value: formats.number(ledger.delta) },
    {
      title: strings.noiseMultiplier,
      value: formats.number(ledger.noiseMultiplier),
      detail: strings.noiseMultiplierOf,
    },
    {
      title: strings.sampling,
      value: formats.number(ledger.samplingRate),
      detail: fill(strings.samplingOf, {
        batch: formats.integer(ledger.expectedBatchSize),
        examples: formats.integer(ledger.examples),
      }),
    },
    {
      title: strings.clippingNorm,
      value: formats.number(ledger.maxGradNorm),
      detail: named(clippings, ledger.clipping, strings),
    },
    { title: strings.accountant, value: named(accountants, ledger.accountant, strings) },
    { title: strings.relation, value: named(relations, ledger.relation, strings) },
    ...(repeated === 0
      ? []
      : [{ title: strings.repeatedSteps, value: formats.integer(repeated), detail: strings.repeatedStepsOf }]),
  ];
}

const verdicts: Readonly<Record<AuditAnswer['verdict'], StringKey>> = {
  holds: 'auditHolds',
  fails: 'auditFails',
  'not-private': 'auditNotPrivate',
};

/** A private run's public record, its audit, and apart from them what only its owner may see. */
export class PrivacyCard extends LitElement {
  static override properties = { model: { attribute: false } };

  static override styles = [
    base,
    factsStyle,
    css`
      .card {
        --fact-width: 150px;
        display: flex;
        flex-direction: column;
        gap: 20px;
      }
      .chart {
        max-width: 640px;
      }
      .charts {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr));
        gap: 24px 28px;
      }
      section {
        display: flex;
        flex-direction: column;
        align-items: flex-start;
        gap: 10px;
      }
      section > .wide {
        align-self: stretch;
      }
      ul {
        margin: 0;
        padding-left: 1.4em;
      }
      .uncovered {
        padding: 12px;
        border: 1px dashed var(--vscode-editorWarning-foreground);
        border-radius: 4px;
      }
    `,
  ];

  declare model: PrivacyCardModel | undefined;

  constructor() {
    super();
    this.model = undefined;
    keepFocus(this);
  }

  private epsilons(record: PrivacyAnswer, model: PrivacyCardModel): TemplateResult {
    const { strings, formats, tables, onTable } = model;
    const curve = {
      points: record.epochs.map(({ epoch, epsilon }) => ({ x: epoch, epsilon })),
      isWhole: true,
    };
    if (curve.points.length === 0) return html`<p class="quiet">${strings.noEpsilonYet}</p>`;
    const last = curve.points.at(-1) ?? null;
    const xText = (x: number): string => formats.number(Math.round(100 * x) / 100);
    const chart: LineModel = {
      title: strings.epsilonAfterEpochs,
      xTitle: strings.epoch,
      isWhole: true,
      curve,
      x: 'linear',
      y: 'linear',
      xText,
      mark: last,
      markText: strings.lineNow,
      target: record.ledger.targetEpsilon ?? null,
      text: curveText(strings.epsilonAfterEpochs, curve, (x) => `${strings.epoch} ${xText(x)}`, strings, formats),
      asTable: tables.includes(epsilonChart),
      onAsTable: () => onTable(epsilonChart),
      strings,
      formats,
    };
    return html`<div class="chart"><peft-line-chart .model=${chart}></peft-line-chart></div>`;
  }

  private audit({ privacy, strings, formats }: PrivacyCardModel): TemplateResult {
    const result = privacy.audit();
    const numbers =
      result?.epsilon === undefined
        ? ''
        : fill(strings.auditNumbers, {
            computed: epsilonText(result.epsilon.computed, strings, formats),
            recorded:
              result.epsilon.recorded === undefined
                ? strings.noValue
                : epsilonText(result.epsilon.recorded, strings, formats),
          });
    const list = (title: string, lines: readonly string[]): TemplateResult | typeof nothing =>
      lines.length === 0
        ? nothing
        : html`<div class="wide">
            <h3>${title}</h3>
            <ul>
              ${lines.map((line) => html`<li>${line}</li>`)}
            </ul>
          </div>`;
    return html`<section aria-label=${strings.auditTitle}>
      <h2>${strings.auditTitle}</h2>
      <p class="quiet">${strings.auditAbout}</p>
      <vscode-button secondary @click=${privacy.askAudit}
        >${privacy.isAuditing() ? strings.computing : strings.audit}</vscode-button
      >
      ${
        result === undefined
          ? nothing
          : html`<p
                class="notice wide ${result.verdict === 'holds' ? '' : 'error'}"
                role="alert"
                .textContent=${`${strings[verdicts[result.verdict]]} ${numbers}`.trim()}
              ></p>
              ${list(strings.auditFindings, result.findings)} ${list(strings.auditAssumptions, result.assumptions)}`
      }
    </section>`;
  }

  private localChart(metric: string, title: string, data: CurveData, model: PrivacyCardModel): TemplateResult {
    const { strings, formats, tables } = model;
    const plan: ChartPlan = {
      id: `local ${metric}`,
      title,
      unit: 'number',
      series: [{ metric, label: title, isEvaluation: false }],
    };
    const chart: ChartModel = {
      plan,
      curves: new Map([[metric, data]]),
      extent: null,
      axis: 'step',
      startedAt: null,
      strings,
      formats,
      asTable: tables.includes(plan.id),
      canZoom: false,
    };
    return html`<peft-curve-chart .model=${chart}></peft-curve-chart>`;
  }

  private uncovered(model: PrivacyCardModel): TemplateResult {
    const { privacy, strings } = model;
    const local = privacy.local();
    const charts = locals.flatMap(({ metric, title }) => {
      const data = local?.get(metric);
      return data === undefined || data.value.length === 0
        ? []
        : [this.localChart(metric, strings[title], data, model)];
    });
    return html`<section class="uncovered" aria-label=${strings.notCovered}>
      <h2>${strings.notCovered}</h2>
      <p class="wide">${strings.notCoveredAbout}</p>
      ${
        local === undefined
          ? html`<vscode-button secondary @click=${privacy.askLocal}>${strings.showLocal}</vscode-button>`
          : charts.length === 0
            ? html`<p class="quiet">${strings.noLocal}</p>`
            : html`<div class="charts wide">${charts}</div>`
      }
    </section>`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { model } = this;
    if (model === undefined) return nothing;
    const { privacy, strings, formats } = model;
    const record = privacy.record();
    if (record === undefined) return html`<p class="empty" role="status">${strings.noLedger}</p>`;
    return html`<div class="card">
      ${record.ledger.insecure ? html`<p class="notice error" role="alert">${strings.insecure}</p>` : nothing}
      ${factList(privacyFacts(record, strings, formats))} ${this.epsilons(record, model)} ${this.audit(model)}
      ${this.uncovered(model)}
    </div>`;
  }
}

customElements.define('peft-privacy-card', PrivacyCard);
