"""The catalogue against published facts, and against real data where a mirror is at hand."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.data import fetch
from isthmus.errors import DataError
from isthmus.hubs import mirror as hub
from isthmus.hubs import wanted
from isthmus.hubs.mirror import Mirror, require_shards
from isthmus.tasks.files import catalogue
from isthmus.tasks.task import Task
from isthmus.units import fetch_spec
from isthmus.work import Work

TASKS = catalogue()
XTREME_R_NEW = {"az", "gu", "ht", "lt", "pa", "pl", "qu", "ro", "uk", "wo"}


def codes(name: str) -> set[str]:
    return set(TASKS[name].codes)


def test_xtreme_r_has_xtremes_languages_and_its_own() -> None:
    assert codes("xquad_12") == codes("xquad") | {"ro"}
    assert codes("udpos_38") == codes("udpos") | {"lt", "pl", "uk", "wo", "ro"}
    assert codes("wikiann_48") == codes("panx") | {"az", "gu", "lt", "pa", "pl", "qu", "ro", "uk"}
    assert codes("tatoeba_41") == codes("tatoeba") | {"az", "lt", "pl", "ro", "uk"}
    assert codes("xcopa") == {"et", "ht", "id", "it", "qu", "sw", "ta", "th", "tr", "vi", "zh"}
    lengths = [len(codes(name)) for name in ("xquad_12", "udpos_38", "wikiann_48", "tatoeba_41", "xcopa")]
    assert lengths == [12, 38, 48, 41, 11]
    names = ("xnli", "xcopa", "udpos_38", "wikiann_48", "xquad_12", "mlqa", "tydiqa", "tatoeba_41")
    everything = set().union(*(codes(name) for name in names))
    assert everything == codes("panx") | XTREME_R_NEW and len(everything) == 50
    assert everything <= codes("wikipedia")


def test_what_is_trained_in_which_language() -> None:
    japanese = {name for name, task in TASKS.items() if task.trained_in == ["ja"]}
    assert japanese == {"jnli", "jsquad", "jcommonsense_qa", "jsnli", "jaquad", "pawsx_ja"}
    translated = {name: len(task.trainable) for name, task in TASKS.items() if task.trained_in == "study"}
    assert translated == {
        "mnli_translated": 14,
        "pawsx_translated": 6,
        "squad_translated": 10,
        "squad_translated_mlqa": 6,
        "hellaswag_translated": 31,
    }
    assert codes("mnli_translated") == codes("xnli") - {"en"}
    assert codes("pawsx_translated") == codes("pawsx") - {"en"}
    assert codes("squad_translated") == codes("xquad") - {"en"}
    assert codes("squad_translated_mlqa") == codes("mlqa") - {"en"}
    trained = [task for task in TASKS.values() if task.trainable and not task.is_text]
    assert all("en" in task.trainable for task in trained if task.trained_in is None)


def test_labels_in_the_publishers_order() -> None:
    assert TASKS["jnli"].labels == ["entailment", "contradiction", "neutral"]  # not GLUE's
    assert TASKS["jsnli"].labels == TASKS["mnli_translated"].labels == TASKS["mnli"].labels
    assert TASKS["social_iqa"].labels == ["1", "2", "3"]
    assert TASKS["xcopa"].form == TASKS["copa"].form
    assert (
        TASKS["xcopa"].columns.prompt == TASKS["copa"].columns.prompt == "{premise} What was the {question}?"
    )


# How many of each task's languages the mirror has, every split that the task names for them.
ON_THE_MIRROR = {
    "commonsense_qa": 1,
    "copa": 1,
    "cosmos_qa": 1,
    "hellaswag": 1,
    "jaquad": 1,
    "jcommonsense_qa": 1,
    "jnli": 1,
    "jsquad": 1,
    "mlqa": 7,
    "mnli": 1,
    "panx": 39,
    "pawsx": 7,
    "pawsx_ja": 1,
    "pawsx_translated": 6,
    "social_iqa": 1,
    "squad": 1,
    "squad_sentences": 1,
    "tatoeba": 36,
    "tatoeba_41": 41,
    "tydiqa": 9,
    "udpos": 31,
    "udpos_38": 36,
    "wikiann_48": 47,
    "xcopa": 11,
    "xnli": 15,
    "xquad": 11,
    "xquad_12": 12,
}

# All languages are in one file of the hub; the mirror's has these.
ROWS_OF_TYDIQA = {"en", "ko", "sw"}


def request(mirror: Path, task: Task, language: str) -> dict | None:
    """The spec of the first source that the mirror has, as the plan chooses it."""
    for source in task.sources_in(language):
        asked = task.request(source, language)
        places = list(wanted(asked["source"], asked["splits"].values()))
        if all(Mirror(mirror).offers(source.hub, config, split) for config, split in places):
            return fetch_spec(task, language, source, asked, "hub")
    return None


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrors give the first rows of a split only; all where rows are picked from among other languages'."""

    def read(source: dict, split: str, folder: Path) -> pa.Table:
        if "where" in source:
            return original(source, split, folder)
        path = require_shards(folder, source["id"], source["config"], split)[0]
        return pa.Table.from_batches([next(pq.ParquetFile(path).iter_batches(batch_size=40))])

    original = hub.read
    monkeypatch.setattr(hub, "read", read)


@pytest.mark.parametrize("name", TASKS)
def test_every_language_that_the_mirror_has_comes_through_the_door(
    mirror: Path, unit: Callable[..., Work], few_rows: None, name: str
) -> None:
    task = TASKS[name]
    specs = {language: request(mirror, task, language) for language in task.codes}
    found = {language: spec for language, spec in specs.items() if spec is not None}
    assert len(found) == ON_THE_MIRROR.get(name, 0)
    for language, spec in found.items():
        work = unit(f"{name}/{language}", spec, {"hub": mirror})
        if name == "tydiqa" and language not in ROWS_OF_TYDIQA:
            with pytest.raises(DataError, match=f"tydiqa/{language} test .* has no rows"):
                fetch.run([work])
            continue
        fetch.run([work])
        for split in spec["splits"]:
            rows = pq.read_table(work.folder / f"{split}.parquet")
            assert len(rows)
            if "label" in rows.column_names:
                assert set(rows["label"].to_pylist()) <= set(range(len(task.labels or ())))
            if "tags" in rows.column_names:
                assert {tag for tags in rows["tags"].to_pylist() for tag in tags} <= set(
                    range(len(task.labels or ()))
                )
            if "answers" in rows.column_names and not task.unanswerable:
                assert all(rows["answers"].to_pylist())


def test_labels_of_the_mirror_mean_what_the_catalogue_says(
    mirror: Path, unit: Callable[..., Work], few_rows: None
) -> None:
    """A label read as a number by itself would turn JNLI's contradictions into neutrals; here it is looked up."""
    spec = request(mirror, TASKS["jnli"], "ja")
    work = unit("jnli/ja", spec, {"hub": mirror})
    fetch.run([work])
    raw = pq.read_table(mirror / "shunk031/JGLUE/JNLI/train-00000-of-00001.parquet")
    names = ["entailment", "contradiction", "neutral"]
    fetched = pq.read_table(work.folder / "train.parquet")["label"].to_pylist()
    labels = TASKS["jnli"].labels or []
    assert [labels[label] for label in fetched] == [
        names[label] for label in raw["label"].to_pylist()[: len(fetched)]
    ]
