"""The study file as it is written: one model per part, each key with its type, bounds, default and meaning.

The JSON schema and `docs/config.md` are generated from these models. What several parts must agree on is
checked in `study_checks`; names are replaced by what they stand for in `study`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from isthmus.study.fields import Strict, Written
from isthmus.study.recipes import RecipeOptions, Stage

Seed = Annotated[int, Field(ge=0, lt=2**31), Written]


def _list_or_word(value: Any) -> str | None:
    return "list" if isinstance(value, list) else "word" if isinstance(value, str) else None


Languages = Annotated[
    Annotated[Literal["all"], Tag("word")]
    | Annotated[Annotated[list[str], Field(min_length=1)], Tag("list")],
    Discriminator(
        _list_or_word,
        custom_error_type="languages",
        custom_error_message="needs all or a list such as [en, de]",
    ),
]


class PretrainOptions(Strict):
    """An encoder of XLM-R's architecture, pre-trained in the study from scratch with its own tokenizer."""

    data: Annotated[list[str], Field(min_length=1)] = Field(
        description="Tasks of text without labels; those with translations serve `pairs` and `code_switch`."
    )
    languages: Languages = Field(
        default="all",
        description="`all` = every language that `data` lists (of those, babel's own where the hub is babel), or a list of codes.",
    )
    vocab_size: Annotated[int, Field(ge=64, le=1_000_000), Written] = Field(
        default=8000, description="Pieces of the tokenizer, special tokens included."
    )
    character_coverage: Annotated[float, Field(gt=0.5, le=1), Written] = Field(
        default=0.9995, description="Share of the text's characters that get a piece; the rest is unknown."
    )
    sentences_per_language: Annotated[int, Field(ge=10, le=10**8), Written] = Field(
        default=10_000, description="Sentences of each language that the tokenizer learns from, at most."
    )
    layers: Annotated[int, Field(ge=1, le=200), Written] = Field(default=4, description="Transformer layers.")
    width: Annotated[int, Field(ge=8, le=16384), Written] = Field(
        default=64, description="Size of a hidden state; a multiple of `heads`."
    )
    heads: Annotated[int, Field(ge=1, le=256), Written] = Field(
        default=4, description="Attention heads per layer."
    )
    feed_forward: Annotated[int, Field(ge=8, le=65536), Written] | None = Field(
        default=None, description="Size of the feed-forward layers; null = four times `width`."
    )
    positions: Annotated[int, Field(ge=8, le=8192), Written] = Field(
        default=128, description="Longest input in tokens, special tokens included."
    )
    dropout: Annotated[float, Field(ge=0, lt=1), Written] = Field(
        default=0.1, description="The encoder's own dropout."
    )
    seed: Seed = Field(
        default=1, description="Seed of the weights, the tokenizer's sample and the order of the text."
    )
    recipe: RecipeOptions | None = Field(
        default=None, description="Options of this pre-training; they win over `recipe`."
    )


class EncoderEntry(Strict):
    """Either `pretrain`, or `from` with an optional `revision`."""

    pretrain: PretrainOptions | None = Field(default=None, description="Pre-train this encoder in the study.")
    from_: str | None = Field(
        default=None, alias="from", description="Id of a ready encoder on the hub, `owner/name`."
    )
    revision: str | None = Field(
        default=None,
        description="Commit of the ready encoder; null = the hub's newest. Quote it: 1e10 is a number.",
    )
    recipe: RecipeOptions | None = Field(
        default=None,
        description="Options of every training on top of this encoder, and of its predictions; they win over the file's "
        "`recipe`, and lose to an arm's own.",
    )


class StepEntry(Strict):
    """One training run before the target: either `task`, or `mix` with an optional `cap`."""

    task: str | None = Field(default=None, description="The task to train on.")
    mix: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="Tasks to train on together, by whole batches of one task each."
    )
    cap: Annotated[int, Field(ge=1, le=10**9), Written] | None = Field(
        default=None,
        description="With `mix`: a task counts as at most this many examples when rates are set; "
        "null = 131072 (2^17), as in Phang et al. 2020, section 3.1.",
    )
    recipe: RecipeOptions | None = Field(
        default=None, description="This run's own options; they win over `recipe`."
    )


class ArmEntry(StepEntry):
    """An arm of one run, possibly repeated over a grid."""

    grid: Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], Field(min_length=1)] | None = Field(
        default=None,
        description="Training options with the values to try: one arm for every combination. Each option "
        "must stand in the arm's name, as in `mnli-n{examples}`.",
    )


def _step_shape(value: Any) -> str | None:
    return "name" if isinstance(value, str) else "step" if isinstance(value, dict | StepEntry) else None


def _arm_shape(value: Any) -> str | None:
    return "chain" if isinstance(value, list) else _step_shape(value)


_Step = Annotated[
    Annotated[str, Tag("name")] | Annotated[StepEntry, Tag("step")],
    Discriminator(
        _step_shape,
        custom_error_type="step",
        custom_error_message="needs a task, or keys such as {mix: [a, b]}",
    ),
]
_Arm = Annotated[
    Annotated[str, Tag("name")] | Annotated[list[_Step], Tag("chain")] | Annotated[ArmEntry, Tag("step")],
    Discriminator(
        _arm_shape,
        custom_error_type="arm",
        custom_error_message="needs a task, a list of steps, or keys such as {mix: [a, b]}",
    ),
]


class StageOptions(RecipeOptions):
    """Training options of a stage, with exceptions for single tasks."""

    tasks: dict[str, RecipeOptions] = Field(
        default={}, description="Options for training on one task, by its name."
    )


class RecipeSection(Strict):
    """Later wins: built-in defaults, `all`, the stage, the stage's `tasks`, the encoder's own `recipe`, the arm's."""

    all: RecipeOptions = Field(default_factory=RecipeOptions, description="Options of every training run.")
    pretrain: RecipeOptions = Field(default_factory=RecipeOptions, description="Pre-training of encoders.")
    intermediate: StageOptions = Field(
        default_factory=StageOptions, description="Training on an arm's tasks."
    )
    target: StageOptions = Field(
        default_factory=StageOptions,
        description="Training on the targets' training sets; under `tasks` stand training sets.",
    )


class StudyFile(Strict):
    """One study: encoders × arms × targets × languages × seeds, and the question it asks."""

    study: str = Field(description="Name of the study: results go to `results/<study>`.")
    question: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="What the study asks, in one sentence; the report opens with it."
    )
    hub: str = Field(
        default="babel",
        description="Where data and ready encoders come from: `babel` (embedded, synthetic), `huggingface` "
        "(downloaded once into the folder ISTHMUS_CACHE), `mirror` (the folder that the setting ISTHMUS_HUB names), or a folder in the hub's layout, relative to this file, "
        "such as `./mirror`.",
    )
    tasks: str | None = Field(
        default=None,
        description="Folder with the study's own task files, relative to this file; null = catalogue only.",
    )
    encoders: Annotated[dict[str, EncoderEntry], Field(min_length=1)] = Field(description="Encoders by name.")
    arms: Annotated[dict[str, _Arm], Field(min_length=1)] = Field(
        description="Arms by name: a task, a list of steps that follow each other, or one step with options. "
        "The baseline `none: []` must be there."
    )
    targets: Annotated[list[str], Field(min_length=1)] = Field(description="Tasks to transfer to and score.")
    languages: Languages = Field(
        default="all",
        description="`all` = every language that each target lists (of those, babel's own where the hub is babel), or a list of codes.",
    )
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(
        default=[1], description="Seeds of intermediate and target training."
    )
    recipe: RecipeSection = Field(default_factory=RecipeSection, description="Training options.")


def steps_of(arm: Any) -> list[StepEntry]:
    """An arm's value as the list of its steps."""
    parts = arm if isinstance(arm, list) else [arm]
    return [StepEntry.model_validate({"task": part}) if isinstance(part, str) else part for part in parts]


def names_of(step: StepEntry) -> list[str]:
    """The tasks of a step."""
    return [step.task] if step.task is not None else list(step.mix or ())


def own_recipe(entry: EncoderEntry, stage: Stage) -> RecipeOptions | None:
    """The options that stand at an encoder for a stage."""
    if stage != "pretrain":
        return entry.recipe
    return entry.pretrain.recipe if entry.pretrain is not None else None


def grid_of(arm: Any) -> Mapping[str, list[Any]]:
    """The grid of an arm, empty where it has none."""
    return arm.grid or {} if isinstance(arm, ArmEntry) else {}


Level = tuple[tuple[str, ...], dict[str, Any]]
"""The options that one place of the file gives, and the place."""


def levels(
    file: RecipeSection,
    stage: Stage,
    names: Sequence[str],
    encoder: str = "",
    own: RecipeOptions | None = None,
) -> list[Level]:
    """The options that the file gives for training on these tasks, with their places, weakest first.

    What stands under `tasks` applies to training on that one task, not to mixtures it is part of; `own` are those that
    stand at the encoder for this stage.
    """
    part: RecipeOptions = getattr(file, stage)
    found: list[Level] = [(("recipe", "all"), file.all.given()), (("recipe", stage), part.given())]
    if isinstance(part, StageOptions) and len(names) == 1 and names[0] in part.tasks:
        found.append((("recipe", stage, "tasks", names[0]), part.tasks[names[0]].given()))
    if own is not None:
        place = ("encoders", encoder, *(("pretrain",) if stage == "pretrain" else ()), "recipe")
        found.append((place, own.given()))
    return found
