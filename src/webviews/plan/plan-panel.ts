import '@vscode-elements/elements/dist/vscode-button/index.js';
import { css, html, LitElement, nothing, type TemplateResult } from 'lit';
import { select, type Choice } from '../components/controls.ts';
import { factList, factsStyle, type Fact } from '../components/facts.ts';
import { keepFocus } from '../components/kept-focus.ts';
import { base, panel } from '../components/styles.ts';
import type { Formats } from '../format.ts';
import { fill, type Strings } from '../strings.ts';
import { fieldsOf, inputsOf, numberOf, problemsOf, type Fields, type NumberField } from './fields.ts';
import './line-chart.ts';
import type { LineModel } from './line-chart.ts';
import type { Curve, Layout, Plan, PlanInputs } from './messages.ts';
import type { PlanModel } from './model.ts';
import {
  accountantText,
  breachText,
  curveText,
  dataSetText,
  epsilonText,
  planText,
  problemText,
  sizeText,
  weakText,
} from './texts.ts';

/** What the panel is given; `revision` tells it that the model has changed. */
export interface PlanPanelProperties {
  readonly model: PlanModel;
  readonly strings: Strings;
  readonly formats: Formats;
  readonly layout: Layout;
  readonly onLayout: (layout: Layout) => void;
  readonly onCopy: () => void;
  readonly onOpen: () => void;
}

type ChartName = Layout['tables'][number];

/** So long after the last key a number counts as typed. */
const typingMs = 350;

const otherSize = 'other';
const noneSpent = 'none';

/** What a private training would cost, and what noise it takes. */
export class PlanPanel extends LitElement {
  static override properties = {
    properties: { attribute: false },
    revision: { type: Number },
    fields: { state: true },
  };

  static override styles = [
    base,
    panel,
    factsStyle,
    css`
      main {
        --fact-width: 130px;
        gap: 16px;
      }
      .columns {
        display: grid;
        grid-template-columns: minmax(220px, 280px) minmax(0, 1fr);
        gap: 24px 32px;
        align-items: start;
      }
      form {
        display: flex;
        flex-direction: column;
        gap: 14px;
      }
      vscode-single-select {
        width: 100%;
      }
      input {
        width: 100%;
        height: 26px;
        padding: 3px 6px;
        border: 1px solid
          var(
            --vscode-settings-textInputBorder,
            var(--vscode-input-border, var(--vscode-settings-dropdownBorder, var(--vscode-contrastBorder, transparent)))
          );
        border-radius: 2px;
        background: var(--vscode-settings-textInputBackground, var(--vscode-input-background));
        color: var(--vscode-settings-textInputForeground, var(--vscode-input-foreground));
        font: inherit;
        font-variant-numeric: tabular-nums;
      }
      input::placeholder {
        color: var(--vscode-input-placeholderForeground);
      }
      input:focus-visible {
        outline: 1px solid var(--vscode-focusBorder);
        outline-offset: -1px;
      }
      input[aria-invalid='true'] {
        border-color: var(--vscode-inputValidation-errorBorder, var(--vscode-editorError-foreground));
      }
      .field > .problem {
        color: var(--vscode-editorError-foreground);
      }
      .results {
        display: flex;
        flex-direction: column;
        gap: 20px;
        min-width: 0;
      }
      .stale {
        opacity: 0.6;
      }
      .charts {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(360px, 100%), 1fr));
        gap: 24px 28px;
      }
      @media (max-width: 640px) {
        .columns {
          grid-template-columns: minmax(0, 1fr);
        }
      }
    `,
  ];

  declare properties: PlanPanelProperties | undefined;
  declare revision: number;
  /** What is written, while it says something else than the inputs do. */
  declare private fields: Fields | undefined;
  private typing: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    this.properties = undefined;
    this.revision = 0;
    this.fields = undefined;
    keepFocus(this);
  }

  /** Shows these inputs in place of what is written. */
  take(inputs: PlanInputs): void {
    this.fields = fieldsOf(inputs);
  }

  private get written(): Fields | undefined {
    const { properties } = this;
    return this.fields ?? (properties === undefined ? undefined : fieldsOf(properties.layout.inputs));
  }

  private write(change: Partial<Fields>, isTyped = false): void {
    const { written } = this;
    if (written === undefined) return;
    this.fields = { ...written, ...change };
    clearTimeout(this.typing);
    if (isTyped) this.typing = setTimeout(() => this.plan(), typingMs);
    else this.plan();
  }

  private plan(): void {
    clearTimeout(this.typing);
    const { properties, fields } = this;
    const inputs = fields === undefined ? undefined : inputsOf(fields);
    if (properties !== undefined && inputs !== undefined) properties.onLayout({ ...properties.layout, inputs });
  }

  private numberField(name: NumberField, label: string, fields: Fields, placeholder = ''): TemplateResult {
    const { strings, formats } = this.properties ?? {};
    const problem = problemsOf(fields).get(name);
    const examples = numberOf(fields.examples);
    const text =
      problem === undefined || strings === undefined || formats === undefined
        ? undefined
        : problemText(problem, Number.isFinite(examples) ? formats.integer(examples) : '', strings);
    return html`<div class="field">
      <span><label for=${name}>${label}</label></span>
      <input
        id=${name}
        type="text"
        inputmode="decimal"
        autocomplete="off"
        spellcheck="false"
        placeholder=${placeholder}
        aria-invalid=${text !== undefined}
        aria-describedby=${text === undefined ? '' : `${name}-problem`}
        .value=${fields[name]}
        @input=${(event: Event) => this.write({ [name]: (event.target as HTMLInputElement).value }, true)}
        @change=${() => this.plan()}
      />
      ${text === undefined ? nothing : html`<span class="problem" id="${name}-problem" role="alert">${text}</span>`}
    </div>`;
  }

  private sizeField(fields: Fields, { model, strings, formats }: PlanPanelProperties): TemplateResult {
    const sizes = model.sizes();
    const choices: readonly Choice<string>[] = [
      ...sizes.map((size) => ({ value: size.id, label: sizeText(size, strings, formats) })),
      { value: otherSize, label: strings.otherSize },
    ];
    const known = sizes.some(({ id }) => id === fields.task);
    return select(strings.task, choices, known && fields.task !== null ? fields.task : otherSize, (value) => {
      const size = sizes.find(({ id }) => id === value);
      if (size === undefined) this.write({ task: null });
      else this.write({ task: size.id, examples: String(size.examples) });
    });
  }

  private form(fields: Fields, properties: PlanPanelProperties): TemplateResult {
    const { model, strings, formats } = properties;
    const dataSets = model.dataSets();
    const examples = numberOf(fields.examples);
    const usual = Number.isFinite(examples) && examples > 0 ? formats.number(1 / (2 * examples)) : '';
    return html`<form
      @submit=${(event: Event) => {
        event.preventDefault();
        this.plan();
      }}
    >
      ${this.sizeField(fields, properties)} ${this.numberField('examples', strings.examplesField, fields)}
      ${this.numberField('batchSize', strings.batchSize, fields)} ${this.numberField('epochs', strings.epochs, fields)}
      ${select(
        strings.goal,
        [
          { value: 'epsilon', label: strings.givenEpsilon },
          { value: 'noise', label: strings.givenNoise },
        ],
        fields.goal,
        (goal) => this.write({ goal }),
      )}
      ${
        fields.goal === 'epsilon'
          ? this.numberField('epsilon', strings.targetEpsilon, fields)
          : this.numberField('noiseMultiplier', strings.noiseMultiplier, fields)
      }
      ${this.numberField('delta', strings.deltaField, fields, fill(strings.deltaDefault, { delta: usual }))}
      ${select(
        strings.accountant,
        [
          { value: 'tightest', label: strings.accountantTightest },
          { value: 'prv', label: strings.accountantPrv },
          { value: 'rdp', label: strings.accountantRdp },
        ],
        fields.accountant,
        (accountant) => this.write({ accountant }),
      )}
      ${
        dataSets.length === 0
          ? nothing
          : select(
              strings.alreadySpent,
              [
                { value: noneSpent, label: strings.noneSpent },
                ...dataSets.map((each) => ({ value: each.id, label: dataSetText(each, strings, formats) })),
              ],
              dataSets.some(({ id }) => id === fields.spentOn) && fields.spentOn !== null ? fields.spentOn : noneSpent,
              (value) => this.write({ spentOn: value === noneSpent ? null : value }),
            )
      }
    </form>`;
  }

  private facts(plan: Plan, { strings, formats }: PlanPanelProperties): readonly Fact[] {
    const byAccountant = [
      ...(plan.prv === null ? [] : [`PRV ${formats.number(plan.prv)}`]),
      ...(plan.rdp === null ? [] : [`RDP ${formats.number(plan.rdp)}`]),
    ];
    return [
      {
        title: strings.noiseMultiplier,
        value: formats.number(plan.noiseMultiplier),
        detail: strings.noiseMultiplierOf,
      },
      {
        title: plan.inputs.spentOn === null ? strings.epsilon : strings.epsilonTogether,
        value: epsilonText(plan.epsilon, strings, formats),
        ...(plan.lower === null ? {} : { detail: fill(strings.epsilonLower, { lower: formats.number(plan.lower) }) }),
      },
      { title: strings.delta, value: formats.number(plan.delta) },
      {
        title: strings.sampling,
        value: formats.number(plan.samplingRate),
        detail: fill(strings.samplingOf, {
          batch: formats.integer(plan.expectedBatchSize),
          examples: formats.integer(plan.inputs.examples),
        }),
      },
      {
        title: strings.stepsPlanned,
        value: formats.integer(plan.totalSteps),
        detail: fill(strings.stepsPlannedOf, { n: formats.integer(plan.stepsPerEpoch) }),
      },
      {
        title: strings.accountant,
        value: accountantText(plan.accountant, strings),
        ...(byAccountant.length === 0 ? {} : { detail: byAccountant.join(' · ') }),
      },
    ];
  }

  private notices(plan: Plan, { model, strings, formats }: PlanPanelProperties): TemplateResult {
    const texts = [
      weakText(plan, strings, formats),
      breachText(
        plan,
        model.dataSets().find(({ id }) => id === plan.inputs.spentOn),
        strings,
        formats,
      ),
    ];
    return html`${texts
      .filter((text) => text !== '')
      .map((text) => html`<p class="notice warning" role="alert" .textContent=${text}></p>`)}`;
  }

  private chart(
    name: ChartName,
    properties: PlanPanelProperties,
    about: Pick<LineModel, 'title' | 'xTitle' | 'x' | 'y' | 'isWhole' | 'xText' | 'mark' | 'target'> & {
      readonly curve: Curve;
    },
  ): TemplateResult {
    const { strings, formats, layout, onLayout } = properties;
    const asTable = layout.tables.includes(name);
    const model: LineModel = {
      ...about,
      markText: strings.linePlan,
      text: curveText(about.title, about.curve, (x) => `${about.xTitle} ${about.xText(x)}`, strings, formats),
      asTable,
      onAsTable: () =>
        onLayout({
          ...layout,
          tables: asTable ? layout.tables.filter((each) => each !== name) : [...layout.tables, name],
        }),
      strings,
      formats,
    };
    return html`<peft-line-chart .model=${model}></peft-line-chart>`;
  }

  private charts(plan: Plan, properties: PlanPanelProperties): TemplateResult {
    const { model, strings, formats } = properties;
    const { inputs, noiseMultiplier, epsilon, stepsPerEpoch, totalSteps } = plan;
    const target = inputs.goal.kind === 'epsilon' ? inputs.goal.epsilon : null;
    return html`<div class="charts">
      ${this.chart('noise', properties, {
        title: strings.epsilonByNoise,
        xTitle: strings.noiseMultiplier,
        curve: model.noise(),
        x: 'log',
        y: 'log',
        xText: formats.number,
        mark: { x: noiseMultiplier, epsilon },
        target,
      })}
      ${this.chart('epochs', properties, {
        title: strings.epsilonAfterEpochs,
        xTitle: strings.epoch,
        isWhole: true,
        curve: model.epochs(),
        x: 'linear',
        y: 'linear',
        xText: (x) => formats.number(Math.round(100 * x) / 100),
        mark: { x: totalSteps / stepsPerEpoch, epsilon },
        target,
      })}
    </div>`;
  }

  private results(properties: PlanPanelProperties): TemplateResult {
    const { model, strings, formats, onCopy, onOpen } = properties;
    const state = model.state();
    const plan = model.plan();
    if (state?.kind === 'refused')
      return html`<div class="results"><p class="notice error" role="alert">${state.message}</p></div>`;
    if (plan === undefined)
      return html`<div class="results"><p class="empty" role="status">${strings.computing}</p></div>`;
    const isStale = state?.kind === 'computing';
    const isWrong = this.written !== undefined && problemsOf(this.written).size > 0;
    /** What was typed just now counts. */
    const settled = (act: () => void) => (): void => {
      this.plan();
      act();
    };
    return html`<div class="results">
      <div class=${isStale ? 'stale' : ''}>${factList(this.facts(plan, properties))}</div>
      <p class="hidden-visually" role="status">${isStale ? strings.computing : planText(plan, strings, formats)}</p>
      ${this.notices(plan, properties)}
      <div class="buttons" role="group" aria-label=${strings.actions}>
        <vscode-button ?disabled=${isWrong} @click=${settled(onOpen)}>${strings.openConfiguration}</vscode-button>
        <vscode-button secondary ?disabled=${isWrong} @click=${settled(onCopy)}
          >${strings.copyConfiguration}</vscode-button
        >
      </div>
      ${this.charts(plan, properties)}
    </div>`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const { properties, written } = this;
    if (properties === undefined || written === undefined) return nothing;
    const { strings } = properties;
    return html`<main>
      <header>
        <h1>${strings.planTitle}</h1>
        <p class="quiet">${strings.planIntroduction}</p>
      </header>
      <div class="columns">${this.form(written, properties)} ${this.results(properties)}</div>
      <p class="quiet">${strings.planNotCovered}</p>
    </main>`;
  }
}

customElements.define('peft-plan-panel', PlanPanel);
