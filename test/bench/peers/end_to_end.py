"""The peers of the end-to-end comparison: SST-2 with peft's LoRA in a lean loop over transformers' own model and tokenizer.

`padding: "max"` is what run_glue.py does by default: every sentence padded to max_length, batches in random order.
`padding: "dynamic"` is its stronger setting: DataCollatorWithPadding and batches grouped by length, evaluation likewise.
Prints one JSON object at the end.
"""

import json
import sys
import time

began = time.perf_counter()

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    default_data_collator,
    get_linear_schedule_with_warmup,
)
from transformers.trainer_pt_utils import LengthGroupedSampler

from answers import peak_resident_bytes

plan = json.loads(sys.argv[1])
torch.set_num_threads(plan["threads"])
torch.set_flush_denormal(True)
torch.manual_seed(plan["seed"])
dynamic = plan["padding"] == "dynamic"
tokenizer = AutoTokenizer.from_pretrained(plan["encoder"])


def read(split: str) -> list[dict]:
    with open(f"{plan['data']}/{split}.tsv", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    encoded = tokenizer(
        [text for text, _ in rows],
        truncation=True,
        max_length=plan["maxLength"],
        padding=False if dynamic else "max_length",
    )
    return [
        {**{name: values[index] for name, values in encoded.items()}, "labels": int(label)}
        for index, (_, label) in enumerate(rows)
    ]


imported = time.perf_counter()
train, dev = read("train"), read("dev")
tokenised = time.perf_counter()

model = get_peft_model(
    AutoModelForSequenceClassification.from_pretrained(
        plan["encoder"], num_labels=2, attn_implementation="sdpa", dtype=torch.float32
    ),
    LoraConfig(
        task_type="SEQ_CLS",
        r=plan["rank"],
        lora_alpha=plan["alpha"],
        lora_dropout=0.0,
        target_modules=["query", "value"],
    ),
)
parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
decayed = [p for n, p in model.named_parameters() if p.requires_grad and not n.endswith("bias")]
plain = [p for n, p in model.named_parameters() if p.requires_grad and n.endswith("bias")]
optimizer = torch.optim.AdamW(
    [{"params": decayed, "weight_decay": plan["weightDecay"]}, {"params": plain, "weight_decay": 0.0}],
    lr=plan["learningRate"],
    fused=True,
)
size = plan["batchSize"]


def loader(examples: list[dict], training: bool) -> DataLoader:
    if not dynamic:
        return DataLoader(examples, size, shuffle=training, collate_fn=default_data_collator)
    lengths = [len(example["input_ids"]) for example in examples]
    if training:
        sampler = LengthGroupedSampler(size, lengths=lengths)
    else:
        sampler = np.argsort(lengths)[::-1].tolist()
    return DataLoader(examples, size, sampler=sampler, collate_fn=DataCollatorWithPadding(tokenizer))


batches = loader(train, training=True)
steps = plan["epochs"] * len(batches)
schedule = get_linear_schedule_with_warmup(optimizer, round(plan["warmup"] * steps), steps)
ready = time.perf_counter()

model.train()
for _ in range(plan["epochs"]):
    for batch in batches:
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, plan["maxGradNorm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
trained = time.perf_counter()

model.eval()
right = 0
with torch.inference_mode():
    for batch in loader(dev, training=False):
        labels = batch.pop("labels")
        right += (model(**batch).logits.argmax(-1) == labels).sum().item()
ended = time.perf_counter()
print(
    json.dumps(
        {
            "accuracy": right / len(dev),
            "trained": sum(parameter.numel() for parameter in parameters),
            "peakBytes": peak_resident_bytes(),
            "seconds": {
                "import": imported - began,
                "tokenise": tokenised - imported,
                "prepare": ready - tokenised,
                "train": trained - ready,
                "evaluate": ended - trained,
            },
        }
    )
)
