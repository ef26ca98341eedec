"""The other side: `transformers.Trainer` on the same batches, in the best configuration that leaves its results alike.

Fused AdamW (its default), no decay on biases and LayerNorms (its default), the learning rates of our schedule, the same
clipping, no dropout, no evaluation, no logging, no saving, batches in our order. Padding is either to the maximum
length, done beforehand as `run_xnli.py` does it, or to the longest of a batch, by transformers' own collators.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset, SequentialSampler
from transformers import AutoTokenizer, Trainer, TrainingArguments
from transformers.utils import logging

from benchmarks.batches import Source, source_of
from benchmarks.steps import Stamps, peak_gpu_mb, peak_rss_mb
from isthmus.data.batch import specials
from isthmus.recipe import full
from isthmus.train.optimizer import rate_at

MODELS = {
    "classify": transformers.XLMRobertaForSequenceClassification,
    "tag": transformers.XLMRobertaForTokenClassification,
    "span": transformers.XLMRobertaForQuestionAnswering,
}
NOTHING = -100
Row = dict[str, Any]


class Rows(Dataset[Row]):
    """Examples as lists of ids and labels."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return dict(self.rows[index])


class OurOrder(Trainer):
    """Takes the rows as they come, learns at our rates, and keeps the losses."""

    def __init__(self, *arguments: Any, rates: Callable[[int], float], **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.rates, self.losses = rates, list[torch.Tensor]()

    def _get_train_sampler(self, *arguments: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        """Our learning rates."""
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.rates)
        return self.lr_scheduler

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        """Keep the loss; nothing is waited for."""
        loss = super().training_step(*arguments, **named)
        self.losses.append(loss.detach())
        return loss


class Spans(OurOrder):
    """Question answering whose loss is over `<s>` and the context, as in ours: the model's own, over all tokens, would
    need the same products and give another number.
    """

    def compute_loss(self, model: Any, inputs: Row, *arguments: Any, **named: Any) -> torch.Tensor:
        """Mean of the cross-entropies of start and end."""
        out = model(inputs["input_ids"], attention_mask=inputs["attention_mask"])
        place = torch.arange(inputs["input_ids"].shape[1], device=out.start_logits.device)
        last = inputs["attention_mask"].sum(1, keepdim=True) - 1  # </s>
        allowed = (place >= inputs["opening"][:, None]) & (place < last)
        allowed[:, 0] = True
        both = [(out.start_logits, inputs["starts"]), (out.end_logits, inputs["ends"])]
        sides = [cross_entropy(logits.masked_fill(~allowed, -torch.inf), gold) for logits, gold in both]
        return (sides[0] + sides[1]) / 2


def trainer(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train for `stop` of the recipe's steps; give what `ours.ours` gives."""
    torch.set_num_threads(full(job["recipe"]).threads)
    stamps, source = Stamps(), source_of(job)
    model = model_of(job, source)
    rows = [row for step in range(job["stop"]) for row in rows_of(job, source.at(step))]
    rival = rival_of(job, model, rows, max_steps=job["stop"])
    rival.train()
    return {
        **stamps.seconds(job["stop"]),
        "losses": torch.stack(rival.losses).tolist(),
        "peak_rss_mb": peak_rss_mb(),
        "peak_gpu_mb": peak_gpu_mb(),
    }


def predict_trainer(job: Mapping[str, Any]) -> dict[str, Any]:
    """`Trainer.predict` over the rows of all languages, padded to the maximum length; loading is not timed."""
    torch.set_num_threads(full(job["recipe"]).threads)
    source, special = source_of(job), specials(Path(job["parent"]))
    model = model_of(job, source)
    rows: list[Row] = []
    for language in job["languages"]:
        table = pq.read_table(Path(job["tokens"], job["target"], language, "test.parquet"))
        examples = source.family.read([(language, table)], source.recipe, special)
        rows += rows_of(job, source.family.collate(examples, np.arange(len(examples)), source.recipe))
    rival = rival_of(job, model, rows)
    rival.predict(Rows(rows[: job["batch"]]))  # warms up, as ours does
    start, cpu = time.perf_counter(), time.process_time()
    logits = torch.from_numpy(rival.predict(Rows(rows)).predictions)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    best = logits.topk(2, dim=-1)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "rows": len(rows),
        "answers": best.indices[:, 0].tolist(),
        "margins": (best.values[:, 0] - best.values[:, 1]).tolist(),
        "peak_rss_mb": peak_rss_mb(),
    }


def model_of(job: Mapping[str, Any], source: Source) -> Any:
    """The task's model of transformers with our encoder and the head that ours begins with; no dropout."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    form = job["form"]
    labels = {"num_labels": len(form["labels"])} if "labels" in form else {}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = MODELS[form["family"]].from_pretrained(job["parent"], dtype=torch.float32, **labels, **off)
    prefix = "classifier." if form["family"] == "classify" else ""
    mine = {f"{prefix}{name}": value for name, value in source.head(model.config).state_dict().items()}
    unknown = model.load_state_dict(mine, strict=False).unexpected_keys
    if unknown:
        raise RuntimeError(f"The head has weights that transformers' model has no place for: {unknown}")
    return model


def rows_of(job: Mapping[str, Any], batch: Mapping[str, Any]) -> list[Row]:
    """The examples of one of our batches without its padding; padded to the maximum where that is asked for."""
    golds = gold(batch)
    rows = []
    for i, length in enumerate(batch["attention_mask"].sum(1).tolist()):
        row = {"input_ids": batch["input_ids"][i, :length].tolist(), "attention_mask": [1] * length}
        for name, values in golds.items():
            row[name] = values[i].item() if values.ndim == 1 else values[i, :length].tolist()
        rows.append(padded(row, job["recipe"]["max_length"]) if job["padding"] == "fixed" else row)
    return rows


def gold(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch's labels as transformers' models take them: of examples [B], of tokens [B, T], or of spans."""
    if "shown" in batch:
        return {
            "opening": batch["shown"].argmax(1),
            "starts": batch["starts"],
            "ends": batch["ends"],
        }
    if "words" not in batch:
        return {"labels": batch["labels"]}
    labels = np.full(batch["input_ids"].size, NOTHING)
    labels[batch["words"]] = batch["labels"]
    return {"labels": labels.reshape(batch["input_ids"].shape)}


def padded(row: Row, length: int) -> Row:
    """A row with its lists filled up."""
    fill = {"input_ids": 1, "attention_mask": 0, "labels": NOTHING}  # 1 is <pad>, here as in XLM-R
    return {
        name: value + [fill[name]] * (length - len(value)) if isinstance(value, list) else value
        for name, value in row.items()
    }


def rival_of(job: Mapping[str, Any], model: Any, rows: Sequence[Row], max_steps: int = 1) -> OurOrder:
    """The Trainer. What is not named is as transformers has it."""
    recipe = full(job["recipe"])
    arguments = TrainingArguments(
        output_dir=str(Path(job["place"], "trainer")),
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=job.get("batch", recipe.batch_size),
        max_steps=max_steps,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        adam_epsilon=recipe.adam_epsilon,
        max_grad_norm=recipe.clip,
        bf16=recipe.precision == "bf16",
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        seed=job["seed"],
    )
    steps = recipe.steps or 1
    make = Spans if job["form"]["family"] == "span" else OurOrder
    return make(
        model=model,
        args=arguments,
        train_dataset=Rows(rows),
        data_collator=collator(job),
        rates=lambda step: rate_at(min(step, steps - 1), steps, recipe) / recipe.learning_rate,
    )


def collator(job: Mapping[str, Any]) -> Any:
    """Nothing but stacking where rows are padded already; else transformers' collator that pads to the longest."""
    if job["padding"] == "fixed":
        return transformers.default_data_collator
    tokenizer = AutoTokenizer.from_pretrained(job["parent"])
    if job["form"]["family"] == "tag":
        return transformers.DataCollatorForTokenClassification(tokenizer)
    return transformers.DataCollatorWithPadding(tokenizer)
