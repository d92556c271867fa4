import { existsSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { onnxBackend } from '../../src/engine/backends/onnx/onnx-backend.ts';
import { tfjsBackend } from '../../src/engine/backends/tfjs/tfjs-backend.ts';
import { verifyGoldenFolder, type CaseReport, type VerifyReport } from '../../src/engine/verify/verify.ts';
import { interpreterBackend } from './interpreter-backend.ts';

const device = { provider: 'cpu', threads: 1 };
const fixtures = join(import.meta.dirname, '..', 'fixtures', 'golden');
/** The whole set, which also has the cases of methods to come; it lies beside the project where the project is developed. */
const wholeSet = join(import.meta.dirname, '..', '..', '..', 'shared', 'golden');

const supported = [
  'adapter_attention_only_bert',
  'bitfit_bert',
  'bitfit_bert_ner',
  'bitfit_roberta',
  'compacter_bert',
  'compacter_modules/adapter_swish_layer_norms',
  'compacter_modules/compacter_adapter',
  'compacter_modules/compacter_adapter_gelu_erf',
  'compacter_modules/low_rank_adapter',
  'compacter_modules/phm_adapter',
  'compacter_modules/phm_linear',
  'compacter_modules/phm_linear_factorised_rank1',
  'compacter_modules/phm_linear_factorised_rank3',
  'compacter_modules/phm_linear_factorised_rule',
  'compacter_modules/phm_linear_n2_no_bias',
  'compacter_modules/phm_linear_n_equals_bottleneck',
  'compacter_roberta',
  'compacterpp_adapters_lib',
  'compacterpp_roberta_norms',
  'full_bert_mlm',
  'full_bert_ner',
  'full_bert_qa',
  'full_bert_seqcls',
  'full_distilbert_seqcls',
  'full_electra_seqcls',
  'full_roberta_mlm',
  'full_roberta_ner',
  'full_roberta_qa',
  'full_roberta_regression',
  'full_roberta_seqcls',
  'head_only_bert',
  'head_only_bert_ner',
  'head_only_bert_qa',
  'head_only_roberta',
  'houlsby_roberta_tanhgelu',
  'ia3_adapters_lib',
  'ia3_bert',
  'ia3_bert_ffn_only',
  'ia3_prefix_seqbn_roberta',
  'ia3_roberta',
  'jrwarp_bert_ner',
  'jrwarp_roberta_cls',
  'jrwarp_roberta_mask',
  'lora_adapters_lib',
  'lora_bert',
  'lora_bert_all_linear',
  'lora_bert_ner',
  'lora_bert_qa',
  'lora_bert_regression',
  'lora_bert_rslora',
  'lora_distilbert',
  'lora_electra',
  'lora_roberta',
  'low_rank_adapter_bert',
  'parallel_adapter_bert',
  'pasta_bert_ner',
  'pasta_bert_pair',
  'pasta_bert_regression',
  'pasta_bert_single',
  'pasta_roberta_pair',
  'pfeiffer_roberta',
  'phm_adapter_bert',
  'prefix_bert',
  'prefix_flat_bert',
  'prefix_peft_bert',
  'prefix_peft_bert_ner',
  'prefix_peft_bert_qa',
  'prefix_peft_mlp_bert',
  'prefix_peft_roberta',
  'prefix_roberta',
  'prompt_bert',
  'prompt_bert_ner',
  'prompt_peft_bert',
  'prompt_peft_distilbert',
  'prompt_peft_roberta',
  'prompt_peft_roberta_ner',
  'prompt_peft_roberta_qa',
  'prompt_roberta_after_bos',
  'slash_bert_ner',
  'slash_roberta_attention_position',
  'slash_roberta_cls',
  'slash_roberta_intermediate_position',
  'slash_roberta_mask',
  'slash_roberta_regression',
  'unipelt_adapter_prefix_bert',
  'unipelt_bert',
  'unipelt_prompt_bert_qa',
  'unipelt_prompt_roberta_after_bos',
  'warp_roberta_cls',
  'warp_roberta_mask',
];

/** Those that are not in the whole set: made later, with peft alone. */
const added = ['prefix_peft_bert_qa', 'prompt_peft_distilbert', 'prompt_peft_roberta_ner', 'prompt_peft_roberta_qa'];

/** What is wrong, short enough to read in a failed test. */
function complaints(report: CaseReport): readonly string[] {
  switch (report.status) {
    case 'passed':
    case 'unsupported':
      return [];
    case 'error':
      return [`${report.name}: ${report.message}`];
    case 'failed':
      return [
        ...report.problems.map((problem) => `${report.name}: ${problem}`),
        ...report.groups
          .filter((group) => !group.passed)
          .map((group) => `${report.name}: ${group.group} is off by ${group.error} in ${group.worst}`),
      ];
  }
}

function namesOf(report: VerifyReport, status: CaseReport['status']): readonly string[] {
  return report.cases.filter((each) => each.status === status).map((each) => each.name);
}

describe("golden files: numbers from the methods' authors' own code, computed again by our graphs", () => {
  let report: VerifyReport;
  beforeAll(async () => {
    report = await verifyGoldenFolder(fixtures, { backend: onnxBackend, device });
  });

  it('agrees in every case', () => {
    expect(report.cases.flatMap(complaints)).toEqual([]);
    expect(namesOf(report, 'passed')).toEqual(supported);
    expect(report.counts).toEqual({ passed: supported.length, failed: 0, unsupported: 0, error: 0 });
  });

  it('compares outputs, layers, gradients, per-example gradients, AdamW steps and clipping, and the graph that trains', () => {
    const groups = new Map(report.cases.flatMap((each) => ('groups' in each ? [[each.name, each.groups]] : [])));
    const compared = groups.get('lora_bert')?.map(({ group, tensors }) => [group, tensors]);
    const clipping = ['some_clipped', 'all_clipped', 'none_clipped'].flatMap((bound) => [
      [`clipping/${bound}/norms`, 1],
      [`clipping/${bound}/clipped_sum`, 14],
      [`clipping/${bound}/noiseless_mean`, 14],
    ]);
    expect(compared).toEqual([
      ['logits', 1],
      ['loss', 1],
      ['layer_output', 3],
      ['grad', 14],
      ['per_example_loss', 1],
      ['per_example_grad', 14],
      ['training/logits', 1],
      ['training/loss', 1],
      ['training/grad', 14],
      ['adamw_wd0', 14],
      ['adamw_wd0.01', 14],
      ...clipping,
    ]);
  });

  it('agrees on the second engine too', async () => {
    const second = await verifyGoldenFolder(fixtures, { backend: tfjsBackend, device });
    expect(second.cases.flatMap(complaints)).toEqual([]);
    expect(namesOf(second, 'passed')).toEqual(supported);
  });

  it('agrees to 1e-6 in float64, AdamW of near-zero gradients included', async () => {
    const only =
      '{bitfit_roberta,full_bert_qa,full_distilbert*,full_electra*,head_only_bert_ner,lora_roberta,slash_*,ia3_*,unipelt_*,compacter_modules/*,compacterpp_*,phm_*,low_rank_*,pfeiffer_*,full_roberta_mlm,jrwarp_roberta_mask,pasta_bert_pair,prefix_peft_roberta,prefix_roberta,prompt_peft_roberta,prompt_roberta_after_bos}';
    const exact = await verifyGoldenFolder(fixtures, {
      backend: interpreterBackend,
      device,
      precision: 'float64',
      only,
    });
    expect(exact.cases.flatMap(complaints)).toEqual([]);
    expect(exact.counts.passed).toBe(supported.filter((name) => matchesGlob(name, only)).length);
  });
});

const here = existsSync(wholeSet);

describe.skipIf(!here)(`the whole set of golden files${here ? '' : ' (../shared/golden is not there)'}`, () => {
  it.each([onnxBackend, tfjsBackend])(
    'agrees in every case that is supported: $name',
    async (backend) => {
      const report = await verifyGoldenFolder(wholeSet, { backend, device });
      expect(report.cases.flatMap(complaints)).toEqual([]);
      expect(namesOf(report, 'unsupported').filter((name) => !name.startsWith('t5_'))).toEqual([]);
      expect(namesOf(report, 'passed')).toEqual(
        expect.arrayContaining([...supported.filter((name) => !added.includes(name)), 'full_bert_regression']),
      );
    },
    600_000,
  );
});
