"""Which languages a study trains in: English, those that a task's file names, or the study's."""

from pathlib import Path

import pytest

from isthmus.errors import UsageError
from isthmus.hubs.babel.hub import Babel
from isthmus.hubs.mirror import Mirror
from isthmus.needs import Needs
from isthmus.study.load import load_study
from tests.conftest import MICRO

LABELS = "[entailment, neutral, contradiction]"


def needs(folder: Path, text: str, hub: Babel | Mirror | None = None) -> Needs:
    (folder / "study.yaml").write_text(text)
    return Needs(load_study(folder / "study.yaml"), hub or Babel())


def with_arm(task: str, languages: str = "all") -> str:
    text = MICRO.replace("  mnli: mnli\n", f"  mnli: mnli\n  extra: {task}\n")
    return text.replace("\nlanguages: [en, de]", f"\nlanguages: {languages}")


def own(folder: Path, name: str, **changes: str) -> None:
    """A task of the study's own."""
    (folder / "own").mkdir(exist_ok=True)
    keys = {
        "task": name,
        "family": "classify",
        "title": name,
        "languages": "[en, de, sw]",
        "sources": "[{hub: facebook/xnli, config: '{language}', splits: {train: train, dev: validation}}]",
        "columns": "{text_a: premise, text_b: hypothesis, label: label}",
        "labels": LABELS,
    } | changes
    lines = "".join(f"{key}: {value}\n" for key, value in keys.items() if value)
    (folder / "own" / f"{name}.yaml").write_text(lines)


def own_study(task: str, languages: str = "all") -> str:
    return with_arm(task, languages).replace("hub: babel\n", "hub: babel\ntasks: own\n")


def test_training_is_in_english_unless_a_task_says_otherwise(tmp_path: Path) -> None:
    found = needs(tmp_path, with_arm("jnli"))
    assert found.trained_datasets() == {"mnli": ["en"], "jnli": ["ja"]}
    assert found.needed()["jnli"] == ["ja"]
    found.refuse_foreign_languages()


def test_japanese_data_are_trained_on_whatever_the_study_scores(tmp_path: Path) -> None:
    found = needs(tmp_path, with_arm("jnli", "[en, de]"))
    assert found.trained_datasets()["jnli"] == ["ja"]
    found.refuse_foreign_languages()


@pytest.mark.parametrize(
    ("languages", "trained"), [("[en, de]", ["de"]), ("[sw, de, en]", ["de", "sw"])], ids=["one", "two"]
)
def test_translations_are_trained_on_in_the_studys_languages(
    tmp_path: Path, languages: str, trained: list[str]
) -> None:
    found = needs(tmp_path, with_arm("mnli_translated", languages))
    assert found.trained_datasets()["mnli_translated"] == trained
    found.refuse_foreign_languages()


def test_all_languages_are_those_that_have_the_train_split(tmp_path: Path) -> None:
    hub = Mirror(tmp_path / "nowhere")
    found = needs(tmp_path, with_arm("mnli_translated"), hub)
    assert len(found.trained_datasets()["mnli_translated"]) == 14
    source = (
        "[{hub: me/x, config: '{language}', splits: {train: train, dev: dev}, train_languages: [en, sw]}]"
    )
    own(tmp_path, "nli", trained_in="study", sources=source)
    assert needs(tmp_path, own_study("nli"), hub).trained_datasets()["nli"] == ["en", "sw"]


def test_translations_in_no_language_of_the_study_are_a_mistake(tmp_path: Path) -> None:
    found = needs(tmp_path, with_arm("mnli_translated", "[en]"))
    with pytest.raises(UsageError, match="mnli_translated has none of the study's languages that the hub"):
        found.refuse_foreign_languages()


def test_a_hub_without_the_language_is_a_mistake(tmp_path: Path) -> None:
    own(tmp_path, "nli", languages="[th]", trained_in="[th]")
    found = needs(tmp_path, own_study("nli"))
    with pytest.raises(
        UsageError, match=r"nli is trained in th, and the hub has nothing in th\. It has en, de"
    ):
        found.refuse_foreign_languages()


def test_a_task_without_english_has_to_say_what_it_is_trained_in(tmp_path: Path) -> None:
    source = "[{hub: me/x, splits: {train: train, dev: dev}, train_languages: [de]}]"
    for name, changes in {"a": {"languages": "[de]"}, "b": {"sources": source}}.items():
        own(tmp_path, name, **changes)
        found = needs(tmp_path, own_study(name))
        with pytest.raises(
            UsageError, match=rf"{name} has no English data to train on\. Say in .* \(trained_in\)"
        ):
            found.refuse_foreign_languages()


def test_a_union_is_trained_in_the_languages_that_it_says(tmp_path: Path) -> None:
    own(tmp_path, "part", trained_in="[sw]")
    own(
        tmp_path,
        "both",
        unites="[mnli_translated, part]",
        languages="[de]",
        trained_in="[de]",
        sources="",
        columns="",
    )
    found = needs(tmp_path, own_study("both").replace("  extra:", "  part: part\n  extra:"))
    # Both arms read `part`, each in its own language.
    assert found.trained_datasets() == {"mnli": ["en"], "part": ["sw", "de"], "mnli_translated": ["de"]}
    assert found.needed()["part"] == ["de", "sw"]
