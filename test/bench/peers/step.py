"""The peers of the step comparison: PyTorch, transformers and peft, holding one model and taking as many steps as asked for.

What an expert would do on a CPU is done: fused scaled-dot-product attention where it serves, the fused optimiser, gradients set
to None, no host synchronisation but for the loss, denormals flushed. `compile` asks for torch.compile (inductor, C++).
"""

import json
import sys
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification, BertModel

from answers import answer_questions, peak_resident_bytes

plan = json.loads(sys.argv[1])
torch.set_num_threads(plan["threads"])
torch.set_flush_denormal(True)
start = load_file(plan["start"])
rate = plan["dropout"]
settings = {
    "attn_implementation": plan["attention"],
    "hidden_dropout_prob": rate,
    "attention_probs_dropout_prob": rate,
    "classifier_dropout": rate,
    "dtype": torch.float32,
}


def classifier() -> AutoModelForSequenceClassification:
    model = AutoModelForSequenceClassification.from_pretrained(plan["checkpoint"], num_labels=2, **settings)
    with torch.no_grad():
        model.classifier.weight.copy_(start["head.classifier.weight"])
        model.classifier.bias.copy_(start["head.classifier.bias"])
    return model


def with_lora() -> nn.Module:
    """peft's own LoRA on query and value, with the classifier trained."""
    from peft import LoraConfig, get_peft_model

    options = plan["options"]
    model = get_peft_model(
        classifier(),
        LoraConfig(
            task_type="SEQ_CLS",
            r=options["rank"],
            lora_alpha=options["alpha"],
            lora_dropout=0.0,
            target_modules=options["targets"],
        ),
    )
    layers = model.base_model.model.bert.encoder.layer
    with torch.no_grad():
        for index, layer in enumerate(layers):
            for name in options["targets"]:
                target = getattr(layer.attention.self, name)
                for part in ("lora_A", "lora_B"):
                    getattr(target, part)["default"].weight.copy_(start[f"method.layer.{index}.{name}.{part}"])
    return model


class ShiftedLinear(nn.Module):
    """A frozen linear map whose result is shifted by z W at every token. The shift joins the bias, so it costs no pass of its own."""

    def __init__(self, inner: nn.Linear, z: nn.Parameter, projection: torch.Tensor):
        super().__init__()
        self.inner = inner
        self.z = z
        self.register_buffer("projection", projection)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.inner.weight, self.inner.bias + self.z @ self.projection)


class SlashModel(nn.Module):
    """SLaSh as a user would write it in PyTorch, for peft has no such method: BERT with a shifted output map in every layer, and a
    linear head on the mask token. Dropout is off, as in the paper."""

    def __init__(self):
        super().__init__()
        self.bert = BertModel.from_pretrained(plan["checkpoint"], add_pooling_layer=False, **settings)
        self.bert.requires_grad_(False)
        self.z = nn.Parameter(start["method.z"].reshape(-1).clone())
        for index, layer in enumerate(self.bert.encoder.layer):
            layer.output.dense = ShiftedLinear(layer.output.dense, self.z, start[f"frozen.W.{index}"])
        self.head = nn.Linear(self.bert.config.hidden_size, 2)
        with torch.no_grad():
            self.head.weight.copy_(start["head.classifier.weight"])
            self.head.bias.copy_(start["head.classifier.bias"])

    def forward(self, input_ids, attention_mask, positions, labels):
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        logits = self.head(hidden[torch.arange(len(hidden)), positions])
        return F.cross_entropy(logits, labels)


ids = start["batch.input_ids"].long()
batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": start["batch.labels"].long()}
if plan["method"] == "slash":
    model = SlashModel()
    batch["positions"] = start["batch.mask_positions"].reshape(-1).long()
else:
    model = with_lora() if plan["method"] == "lora" else classifier()
    batch["token_type_ids"] = torch.zeros_like(ids)
model.train()
parameters = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def decays(name: str) -> bool:
    return not name.endswith("bias") and "LayerNorm" not in name


optimizer = torch.optim.AdamW(
    [
        {"params": [p for n, p in parameters if decays(n)], "weight_decay": plan["weightDecay"]},
        {"params": [p for n, p in parameters if not decays(n)], "weight_decay": 0.0},
    ],
    lr=plan["learningRate"],
    fused=True,
)
compute = torch.compile(model) if plan["compile"] else model


def step() -> float:
    optimizer.zero_grad(set_to_none=True)
    output = compute(**batch)
    loss = output if plan["method"] == "slash" else output.loss
    loss.backward()
    optimizer.step()
    return loss.item()


def answer(question):
    if question["do"] == "describe":
        return {"trained": sum(parameter.numel() for _, parameter in parameters)}
    if question["do"] == "memory":
        return {"bytes": peak_resident_bytes()}
    began = time.perf_counter()
    losses = [step() for _ in range(question["count"])]
    return {"seconds": (time.perf_counter() - began) / question["count"], "losses": losses}


answer_questions(answer)
