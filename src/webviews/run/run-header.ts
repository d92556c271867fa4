import '@vscode-elements/elements/dist/vscode-button/index.js';
import { html, nothing, type TemplateResult } from 'lit';
import { ref } from 'lit/directives/ref.js';
import { capitalised } from '../../base/format.ts';
import { factList } from '../components/facts.ts';
import { icon } from '../components/icons.ts';
import type { Formats } from '../format.ts';
import type { RunCommand } from '../protocol.ts';
import { fill, type Strings } from '../strings.ts';
import type { Summary } from './messages.ts';
import { factsOf, progressOf, progressText, runTitle } from './texts.ts';

type OnCommand = (command: RunCommand) => void;

function buttons(summary: Summary, strings: Strings, onCommand: OnCommand): TemplateResult {
  const { state, canStart, isUnseen } = summary;
  const isActive = state === 'queued' || state === 'starting' || state === 'running';
  const canResume = state === 'stopped' || state === 'interrupted' || state === 'failed';
  const button = (command: RunCommand, label: string, isPrimary = false): TemplateResult =>
    html`<vscode-button ?secondary=${!isPrimary} @click=${() => onCommand(command)}>${label}</vscode-button>`;
  return html`<div class="buttons" role="group" aria-label=${strings.actions}>
    ${isActive ? button('stop', strings.stop) : nothing}
    ${(canResume || (isUnseen && isActive)) && canStart ? button('resume', strings.resume, canResume) : nothing}
    ${canStart ? button('clone', strings.clone) : nothing} ${button('reveal', strings.reveal)}
  </div>`;
}

function title(summary: Summary, strings: Strings, onCommand: OnCommand): TemplateResult {
  const about = [
    summary.name === null ? null : [summary.method, summary.task].filter((part) => part !== null).join(' · '),
    summary.model,
    summary.seed === null ? null : `${strings.seed.toLowerCase()} ${summary.seed}`,
    summary.id,
  ].filter((part) => part !== null && part !== '');
  return html`<header class="title">
    <div>
      <h1>
        ${summary.starred ? html`${icon('star')}<span class="hidden-visually">${strings.starred}</span> ` : nothing}${runTitle(summary, strings)}
      </h1>
      <p class="about quiet">${about.map((part) => html`<span>${part}</span>`)}</p>
    </div>
    ${buttons(summary, strings, onCommand)}
  </header>`;
}

function progressBar(progress: number, strings: Strings): TemplateResult {
  return html`<div
    class="bar"
    role="progressbar"
    aria-label=${strings.progress}
    aria-valuemin="0"
    aria-valuemax="100"
    aria-valuenow=${Math.round(100 * progress)}
  >
    <div
      ${ref((element) => {
        // The page's policy allows no style attribute.
        if (element instanceof HTMLElement) element.style.width = `${100 * progress}%`;
      })}
    ></div>
  </div>`;
}

function status(summary: Summary, strings: Strings, formats: Formats): TemplateResult {
  const { state, createdAt, startedAt, segments } = summary;
  const progress = progressOf(summary);
  const isOnItsWay = state === 'running' || state === 'starting' || state === 'queued';
  const moments = [
    ...(startedAt === null ? [] : [`${strings.created} ${formats.moment(createdAt ?? startedAt)}`]),
    ...(segments > 1 ? [fill(strings.resumed, { n: segments })] : []),
  ];
  return html`<div class="status">
    <span class="state ${state}" role="status">${icon(state)}${strings[state]}</span>
    ${progress !== null && isOnItsWay ? progressBar(progress, strings) : nothing}
    <span class="number">${progressText(summary, strings, formats)}</span>
    <span class="quiet">${moments.join(' · ')}</span>
  </div>`;
}

function notices({ state, failure, diagnostics }: Summary, strings: Strings): readonly TemplateResult[] {
  const level = state === 'failed' ? 'error' : 'warning';
  const ended =
    failure === null || failure.message === null
      ? []
      : [html`<p class="notice ${level}" role="alert">${capitalised(failure.message)}</p>`];
  const places = diagnostics.slice(0, 3).map(({ file, position, problem }) => `${file}:${position}: ${problem}`);
  const count = diagnostics.length === 1 ? strings.diagnosticOne : fill(strings.diagnostics, { n: diagnostics.length });
  const text = [count, ...places].join('\n');
  const damaged = diagnostics.length === 0 ? [] : [html`<p class="notice warning">${text}</p>`];
  return [...ended, ...damaged];
}

/** The top of a run's panel: what the run is and how far it came, what can be done with it, what went wrong, and its facts. */
export function runHeader(summary: Summary, strings: Strings, formats: Formats, onCommand: OnCommand): TemplateResult {
  const { tags, note } = summary;
  return html`${title(summary, strings, onCommand)} ${status(summary, strings, formats)} ${notices(summary, strings)}
  ${
    tags.length === 0
      ? nothing
      : html`<ul class="tags" aria-label=${strings.tags}>
          ${tags.map((tag) => html`<li>${tag}</li>`)}
        </ul>`
  }
  ${note === '' ? nothing : html`<p class="note">${note}</p>`} ${factList(factsOf(summary, strings, formats))}`;
}
