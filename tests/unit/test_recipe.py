import dataclasses
from typing import Any

import pytest

from isthmus.errors import EnvironmentMismatch
from isthmus.recipe import FROZEN, Recipe, elide, full
from isthmus.study import recipes as study_recipe
from isthmus.study.recipes import READ_BY, RecipeOptions, combine

INTRODUCED = {
    "learning_rate": 1e-5,
    "batch_size": 32,
    "epochs": 3.0,
    "steps": None,
    "examples": None,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "clip": 1.0,
    "max_length": 128,
    "dropout": None,
    "eval_every": 1000,
    "eval_examples": 500,
    "patience": 30,
    "select": "english_dev",
    "threads": 1,
    "mask_rate": 0.15,
    "pairs": 0.5,
    "code_switch": 0.0,
    "language_exponent": 0.3,
    "tokens_per_batch": None,
    "doc_stride": 128,
    "max_query_length": 64,
    "max_answer_length": 30,
    "n_best": 20,
    "query_length": 96,
    "precision": "fp32",
    "gradient_checkpointing": False,
    "micro_batch": None,
    "lora_rank": None,
    "lora_alpha": None,
    "pool": "normalised",
    "rerun_collapsed": False,
}


def test_frozen_values_never_change() -> None:
    """A line here may be added, never changed: specs in the store do not carry these values."""
    assert {name: FROZEN[name] for name in INTRODUCED} == INTRODUCED


def test_every_option_is_in_the_table() -> None:
    assert set(FROZEN) == set(INTRODUCED) == set(RecipeOptions.model_fields) - {"preset"}


def test_elide_keeps_what_differs_in_a_fixed_order() -> None:
    assert elide({"epochs": 5.0, "batch_size": 32, "learning_rate": 2e-5}) == {
        "learning_rate": 2e-5,
        "epochs": 5.0,
    }
    assert list(elide({"epochs": 5.0, "learning_rate": 2e-5})) == ["learning_rate", "epochs"]
    assert elide(FROZEN) == {}


def test_full_undoes_elide() -> None:
    options = dict(FROZEN) | {"steps": 100, "select": "last"}
    assert dataclasses.asdict(full(elide(options))) == options
    assert full({}) == Recipe()


@pytest.mark.parametrize("function", [elide, full])
def test_an_option_of_another_version(function: Any) -> None:
    with pytest.raises(EnvironmentMismatch, match="warp_speed"):
        function({"warp_speed": 9})


def defaults(**changed: Any) -> dict[str, Any]:
    """What a study gets when it says nothing, with some of today's defaults changed."""
    return combine([changed], "target", kinds=())


def test_a_new_option_with_its_default_changes_no_spec() -> None:
    """What elide leaves out is decided by the frozen value alone, so an option at that value is in no spec."""
    assert elide(defaults()) == {}
    assert elide(defaults(learning_rate=2e-5)) == {"learning_rate": 2e-5}


def test_a_changed_default_changes_the_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecipeOptions.model_fields["learning_rate"], "default", 3e-6)
    assert elide(defaults()) == {"learning_rate": 3e-6}
    assert elide(defaults(learning_rate=1e-5)) == {}
    assert full({}).learning_rate == 1e-5


def test_later_levels_win() -> None:
    found = combine([{"batch_size": 8, "warmup": 0.0}, {"batch_size": 16}], "intermediate", kinds=())
    assert elide(found) == {"batch_size": 16, "warmup": 0.0}


@pytest.mark.parametrize(
    ("levels", "spec"),
    [
        ([{"epochs": 5.0}, {"steps": 100}], {"steps": 100}),
        ([{"steps": 100}, {"epochs": 5.0}], {"epochs": 5.0}),
        ([{"epochs": 5.0}, {"steps": None}], {"epochs": 5.0}),
        ([{"steps": 100}, {"epochs": 3.0}], {}),
        ([{"steps": 100}, {"batch_size": 8}], {"steps": 100, "batch_size": 8}),
    ],
)
def test_steps_and_epochs_put_each_other_out_of_force(
    levels: list[dict[str, Any]], spec: dict[str, Any]
) -> None:
    assert elide(combine(levels, "target", kinds=())) == spec


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (
            "text",
            {
                "code_switch": 0.4,
                "mask_rate": 0.3,
                "pairs": 0.1,
                "language_exponent": 0.5,
                "tokens_per_batch": 99,
            },
        ),
        ("questions", {"doc_stride": 64, "max_query_length": 32, "max_answer_length": 10, "n_best": 5}),
    ],
)
def test_options_of_a_kind_stay_out_of_specs_that_do_not_read_them(kind: str, given: dict[str, Any]) -> None:
    assert set(given) == READ_BY[kind]
    assert elide(combine([given], "intermediate", kinds=())) == {}
    assert elide(combine([given], "intermediate", kinds=(kind,))) == given


def test_pre_training_keeps_the_last_checkpoint_unless_told_otherwise() -> None:
    assert combine([], "pretrain", kinds=("text",))["select"] == "last"
    assert combine([{"select": "english_dev"}], "pretrain", kinds=("text",))["select"] == "english_dev"
    assert set(study_recipe.BUILT_IN) == set(study_recipe.STAGES)


def test_numbers_may_stand_in_quotes() -> None:
    assert RecipeOptions.model_validate({"learning_rate": "2e-5", "steps": 1e3}).given() == {
        "learning_rate": 2e-5,
        "steps": 1000,
    }
