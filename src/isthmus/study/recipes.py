"""Training options as a study file gives them: ranges, today's defaults, and how a study's levels combine.

`isthmus.recipe` holds what a training stage reads. The defaults here are today's and may change; the ones
there are frozen. Sources: optimiser, warm-up and stopping are those of Phang et al. 2020 (arXiv 2005.13013,
v1 appendix A.1) and of jiant, whose defaults agree; masking and the language exponent are XLM-R's (Conneau et
al. 2020).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

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

READ_BY_PREDICTION = ("max_length", "threads")
"""Options that predicting reads; of targets for which nothing is trained they are the only ones."""

READ_BY: Mapping[str, frozenset[str]] = {
    "text": frozenset({"mask_rate", "pairs", "code_switch", "language_exponent", "tokens_per_batch"}),
    "questions": frozenset({"doc_stride", "max_query_length", "max_answer_length", "n_best"}),
}
"""Options that only some tasks read: text without labels, questions on a text."""


class RecipeOptions(Strict):
    """Training options; every one may be left out."""

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
    select: Literal["english_dev", "last"] = Field(
        default="english_dev",
        description="Which checkpoint is kept: the best on the English development examples, or the last. "
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

    def given(self) -> dict[str, Any]:
        """The options that the file gives here, with their values as numbers."""
        return self.model_dump(include=self.model_fields_set & set(FROZEN))


def combine(levels: Iterable[Mapping[str, Any]], stage: Stage, kinds: Collection[str]) -> dict[str, Any]:
    """The effective value of every option: later levels win over earlier ones, and all over the defaults.

    `steps` and `epochs` exclude each other: the level that gives one of them puts the other out of force.
    `kinds` are those of READ_BY among the run's tasks. What the run does not read (`epochs` beside `steps`, the
    text options where nothing is text) gets its frozen value, so that it stays out of the spec.
    """
    options = {name: field.default for name, field in RecipeOptions.model_fields.items()}
    for level in (BUILT_IN[stage], *levels):
        options |= level
        if "epochs" in level and level.get("steps") is None:
            options["steps"] = None
    unread = {option for kind, mine in READ_BY.items() if kind not in kinds for option in mine}
    if options["steps"] is not None:
        unread.add("epochs")
    return options | {name: FROZEN[name] for name in unread}
