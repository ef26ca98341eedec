"""Training options as a study file gives them: ranges, today's defaults, and how a study's levels combine.

`isthmus.recipe` holds what a training stage reads. The defaults here are today's and may change; the ones
there are frozen. Sources: optimiser, warm-up and stopping are those of Phang et al. 2020 (arXiv 2005.13013,
v1 appendix A.1) and of jiant, whose defaults agree; masking and the language exponent are XLM-R's (Conneau et
al. 2020).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from isthmus.presets import PRESETS
from isthmus.recipe import FROZEN
from isthmus.study.fields import Strict, Written

Stage = Literal["pretrain", "intermediate", "target"]
STAGES: tuple[Stage, ...] = ("pretrain", "intermediate", "target")

BUILT_IN: Mapping[Stage, Mapping[str, Any]] = {
    "pretrain": {"select": "last"},
    "intermediate": {},
    "target": {},
}
"""Defaults of a stage where they differ: text for pre-training rarely has development examples."""

READ_BY_PREDICTION = ("max_length", "threads", "precision")
"""Options that predicting reads; of targets for which nothing is trained they are the only ones."""

READ_BY: Mapping[str, frozenset[str]] = {
    "text": frozenset({"mask_rate", "pairs", "code_switch", "language_exponent", "tokens_per_batch"}),
    "questions": frozenset({"doc_stride", "max_query_length", "max_answer_length", "n_best"}),
    "retrieval": frozenset({"pool"}),
    "matching": frozenset({"query_length"}),
}
"""Options that only some tasks read: text without labels, questions on a text, sentences to be found, candidates of a pool."""


class RecipeOptions(Strict):
    """Training options; every one may be left out."""

    preset: Literal["one-card-xl", "one-card-xxl", "one-card-lora"] | None = Field(
        default=None,
        description="Options by name, beside which others may stand and win. `one-card-xl` (an encoder of 3.5 billion "
        "weights on 80 GB): precision bf16, gradient_checkpointing. `one-card-xxl` (10.7 billion on 140 GB): precision "
        "bf16_states, gradient_checkpointing. `one-card-lora` (10.7 billion on 40 GB): as that, with lora_rank 16 and "
        "learning_rate 2e-4.",
    )
    learning_rate: Annotated[float, Field(gt=0, le=1), Written] = Field(
        default=1e-5, description="Peak learning rate of AdamW: linear warm-up to it, then linear decay to 0."
    )
    batch_size: Annotated[int, Field(ge=1, le=65536), Written] = Field(
        default=32, description="Examples per update."
    )
    epochs: Annotated[float, Field(gt=0, le=10000), Written] = Field(
        default=3.0,
        description="Passes over the training data, at most; fractions are allowed. Give this or `steps`.",
    )
    steps: Annotated[int, Field(ge=1, le=10**8), Written] | None = Field(
        default=None, description="Updates, at most. Give this or `epochs`; null = epochs decide."
    )
    examples: Annotated[int, Field(ge=1, le=10**9), Written] | None = Field(
        default=None,
        description="Train on the first n examples of the seeded order, so that smaller sets lie in larger "
        "ones; null = all.",
    )
    warmup: Annotated[float, Field(ge=0, lt=1), Written] = Field(
        default=0.1, description="Share of the steps that warm up."
    )
    weight_decay: Annotated[float, Field(ge=0, le=1), Written] = Field(
        default=0.01, description="Weight decay, not applied to biases and layer norms."
    )
    adam_beta1: Annotated[float, Field(ge=0, lt=1), Written] = Field(
        default=0.9, description="Decay of AdamW's first moment."
    )
    adam_beta2: Annotated[float, Field(ge=0, lt=1), Written] = Field(
        default=0.999, description="Decay of AdamW's second moment."
    )
    adam_epsilon: Annotated[float, Field(gt=0, le=1), Written] = Field(
        default=1e-8, description="Added to AdamW's denominator."
    )
    clip: Annotated[float, Field(gt=0, le=10**6), Written] = Field(
        default=1.0, description="Largest norm of the gradient."
    )
    max_length: Annotated[int, Field(ge=8, le=8192), Written] = Field(
        default=128, description="Tokens per example, special tokens included; longer ones are cut."
    )
    dropout: Annotated[float, Field(ge=0, lt=1), Written] | None = Field(
        default=None, description="Dropout while training; null = the encoder's own."
    )
    eval_every: Annotated[int, Field(ge=1, le=10**8), Written] = Field(
        default=1000, description="Steps between two evaluations on development examples."
    )
    eval_examples: Annotated[int, Field(ge=1, le=10**8), Written] = Field(
        default=500, description="Evaluate on the first n development examples."
    )
    patience: Annotated[int, Field(ge=1, le=10**6), Written] = Field(
        default=30, description="Evaluations without gain after which training stops."
    )
    select: Literal["english_dev", "oracle_dev", "last"] = Field(
        default="english_dev",
        description="Which checkpoint is kept: the best on the English development examples; the best on those "
        "of the languages to transfer to (an oracle: such scores are not zero-shot, and the report says so); or the last. "
        "Pre-training keeps the last unless told otherwise.",
    )
    threads: Annotated[int, Field(ge=1, le=256), Written] = Field(
        default=1,
        description="Compute threads of a run on CPU. Part of the result, because sums differ with it.",
    )
    mask_rate: Annotated[float, Field(gt=0, lt=1), Written] = Field(
        default=0.15, description="Text without labels: share of tokens to predict."
    )
    pairs: Annotated[float, Field(ge=0, le=1), Written] = Field(
        default=0.5,
        description="Text without labels: share of documents shown together with their translation.",
    )
    code_switch: Annotated[float, Field(ge=0, le=1), Written] = Field(
        default=0.0, description="Text without labels: share of pieces replaced by a translation."
    )
    language_exponent: Annotated[float, Field(ge=0, le=1), Written] = Field(
        default=0.3,
        description="Text without labels: a language with n documents is drawn at a rate of n to this power.",
    )
    tokens_per_batch: Annotated[int, Field(ge=16, le=10**8), Written] | None = Field(
        default=None,
        description="Text without labels: fill batches up to so many tokens; null = `batch_size` documents.",
    )
    doc_stride: Annotated[int, Field(ge=1, le=8192), Written] = Field(
        default=128,
        description="Questions on a text: tokens from the start of one window to that of the next.",
    )
    max_query_length: Annotated[int, Field(ge=1, le=8192), Written] = Field(
        default=64, description="Questions on a text: tokens of a question; longer ones are cut."
    )
    max_answer_length: Annotated[int, Field(ge=1, le=8192), Written] = Field(
        default=30, description="Questions on a text: tokens of an answer, at most."
    )
    n_best: Annotated[int, Field(ge=1, le=1000), Written] = Field(
        default=20, description="Questions on a text: starts and ends that are combined to answers."
    )
    query_length: Annotated[int, Field(ge=8, le=8192), Written] = Field(
        default=96,
        description="Candidates of a pool: tokens of the query that looks for them, at most, and no more than `max_length`, "
        "which is what candidates have.",
    )
    precision: Literal["fp32", "bf16", "bf16_states"] = Field(
        default="fp32",
        description="`fp32`; `bf16` = matrix products in bf16, weights and moments in fp32 (autocast); `bf16_states` "
        "= weights, gradients and moments in bf16 with stochastic rounding, for encoders whose fp32 states exceed a "
        "card. Predictions follow it.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Keep one state per layer and compute the rest again in the backward pass: less memory, about "
        "a third more time, the same gradients.",
    )
    micro_batch: Annotated[int, Field(ge=1, le=65536), Written] | None = Field(
        default=None,
        description="Most examples that go through the encoder at once; the update stays the whole batch's. null = "
        "as many as the memory has room for.",
    )
    lora_rank: Annotated[int, Field(ge=1, le=4096), Written] | None = Field(
        default=None,
        description="Train low-rank additions (LoRA) of this rank to the encoder's linear layers, merged into the "
        "weights at the end; null = train the weights themselves.",
    )
    lora_alpha: Annotated[float, Field(gt=0, le=10**6), Written] | None = Field(
        default=None,
        description="With `lora_rank`: scale of the additions, over the rank; null = twice the rank.",
    )
    pool: Literal["normalised", "raw"] = Field(
        default="normalised",
        description="Retrieval: whether the states of every layer go through the encoder's last LayerNorm before they are "
        "averaged, where layers normalise what they read (XLM-R XL, XXL, ModernBERT). Others have no such LayerNorm.",
    )
    rerun_collapsed: bool = Field(
        default=False,
        description="Train once more, with another seed that is recorded, if the model ends with one answer to "
        "everything.",
    )

    def given(self) -> dict[str, Any]:
        """The options that the file gives here, with their values as numbers, those of a preset among them."""
        preset = PRESETS[self.preset] if self.preset is not None else {}
        return {**preset, **self.model_dump(include=self.model_fields_set & set(FROZEN))}


def combine(levels: Iterable[Mapping[str, Any]], stage: Stage, kinds: Collection[str]) -> dict[str, Any]:
    """The effective value of every option: later levels win over earlier ones, and all over the defaults.

    `steps` and `epochs` exclude each other: the level that gives one of them puts the other out of force.
    `kinds` are those of READ_BY among the run's tasks. What the run does not read (`epochs` beside `steps`, the
    text options where nothing is text) gets its frozen value, so that it stays out of the spec.
    """
    options = {name: RecipeOptions.model_fields[name].default for name in FROZEN}
    for level in (BUILT_IN[stage], *levels):
        options |= level
        if "epochs" in level and level.get("steps") is None:
            options["steps"] = None
    unread = {option for kind, mine in READ_BY.items() if kind not in kinds for option in mine}
    if options["steps"] is not None:
        unread.add("epochs")
    return options | {name: FROZEN[name] for name in unread}
