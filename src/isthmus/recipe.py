"""The training recipe as a stage sees it, and the frozen table that keeps specs stable.

A spec carries only the options that differ from `FROZEN`: the value each option had when it was introduced.
So a new option changes no spec that existed before it, while a changed default (`isthmus.study.recipes` holds
today's defaults) changes the specs that it must. Therefore the defaults written in `Recipe` are never edited:
to change what a study gets when it says nothing, change `study.recipes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from isthmus.errors import EnvironmentMismatch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a training run besides data, parent and seed.

    The values here are those of each option's introduction and stay for ever. A new option must be introduced
    with the value that trains as it was trained before.
    """

    learning_rate: float = 1e-5
    batch_size: int = 32
    epochs: float = 3.0
    """Passes over the training data; not read where `steps` is given."""
    steps: int | None = None
    examples: int | None = None
    """The first n of the seeded order, so that a smaller set lies within a larger one; None = all."""
    warmup: float = 0.1
    """Share of the steps."""
    weight_decay: float = 0.01
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    clip: float = 1.0
    """Largest norm of the gradient."""
    max_length: int = 128
    """Tokens, special tokens included."""
    dropout: float | None = None
    """None = the encoder's own."""
    eval_every: int = 1000
    """Steps."""
    eval_examples: int = 500
    """The first n development examples."""
    patience: int = 30
    """Evaluations without gain before training stops."""
    select: str = "english_dev"
    """english_dev = keep the best checkpoint on the development examples of the language trained on; oracle_dev = on
    those of the target languages, which is no zero-shot transfer; last = keep the last one."""
    threads: int = 1
    """CPU compute threads; sums differ with it."""
    mask_rate: float = 0.15
    pairs: float = 0.5
    """Text without labels: share of documents shown with their translation."""
    code_switch: float = 0.0
    """Text without labels: share of pieces replaced by a translation."""
    language_exponent: float = 0.3
    tokens_per_batch: int | None = None
    """Text without labels: batches by token budget instead of examples."""
    doc_stride: int = 128
    """Questions on a text: tokens from one window's start to the next one's."""
    max_query_length: int = 64
    max_answer_length: int = 30
    n_best: int = 20
    """Questions on a text: starts and ends that are combined to answers."""
    query_length: int = 96
    """Candidates that are looked for: tokens of what looks for them, special tokens included, no more than max_length."""
    precision: str = "fp32"
    """fp32; bf16 = products in bf16, weights and moments in fp32 (autocast); bf16_states = weights, gradients and
    moments in bf16, updates rounded stochastically."""
    gradient_checkpointing: bool = False
    """Keep one state per layer and compute the others again in the backward pass."""
    micro_batch: int | None = None
    """Most examples that go through the encoder at once; the update is still the whole batch's. None = as many as the
    memory has room for."""
    lora_rank: int | None = None
    """Train low-rank additions to the encoder's linear layers instead of its weights; None = train the weights."""
    lora_alpha: float | None = None
    """Scale of the additions, over the rank; None = twice the rank."""
    pool: str = "normalised"
    """Retrieval: normalised = states of every layer go through the encoder's last LayerNorm, where it has one of its own
    (XLM-R XL, XXL), before they are averaged; raw = as they are."""
    rerun_collapsed: bool = False
    """Train once more, with another seed, if the model ends with one answer to everything."""


FROZEN: Mapping[str, Any] = MappingProxyType({option.name: option.default for option in fields(Recipe)})


def elide(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from their frozen value, as a spec carries them, in the order of `Recipe`.

    Raises:
        EnvironmentMismatch: an option is not one of this version's.
    """
    _refuse_unknown(options)
    return {name: options[name] for name in FROZEN if name in options and options[name] != FROZEN[name]}


def full(options: Mapping[str, Any]) -> Recipe:
    """The complete recipe of a spec: what it does not carry has its frozen value, not today's default.

    Raises:
        EnvironmentMismatch: the spec was written by a version that knows more options.
    """
    _refuse_unknown(options)
    return Recipe(**options)


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    unknown = sorted(set(options) - set(FROZEN))
    if unknown:
        raise EnvironmentMismatch(
            f"The recipe has options that this version of isthmus does not know ({', '.join(unknown)}): "
            "run it with the version that planned it."
        )
