"""Which tasks cannot be united, as their examples are told by ids."""

from pathlib import Path

import pytest

from isthmus.tasks.files import PACKAGED, Collection, TaskError, _union_faults, catalogue


@pytest.mark.parametrize("pool", ["pool: own", "pool: study", "pool: mewslix_entities"])
def test_tasks_that_are_looked_up_in_a_pool_are_not_united(tmp_path: Path, pool: str) -> None:
    """Their candidates are told by ids, which each task gives anew."""
    text = (PACKAGED / "squad_sentences.yaml").read_text().replace("task: squad_sentences", "task: more")
    (tmp_path / "more.yaml").write_text(text.replace("pool: own", pool))
    (tmp_path / "both.yaml").write_text(
        "task: both\nfamily: match\ntitle: B\nlanguages: [en]\nunites: [squad_sentences, more]\n"
    )
    with pytest.raises(TaskError) as caught:
        catalogue(tmp_path)
    for name in ("squad_sentences", "more"):
        problem = (
            f'"{name}" finds candidates by their ids, which mean others in another task: '
            "train on them as a mixture instead."
        )
        assert any(line.endswith(f"unites: {problem}") for line in caught.value.problems)


@pytest.mark.parametrize("column", ["sentences", "wanted"])
def test_columns_that_name_candidates_are_not_united(column: str) -> None:
    found = Collection()
    for name in ("one", "two"):
        part = catalogue()["squad"]
        columns = part.columns.model_copy(update={column: "there"})
        found.tasks[name] = part.model_copy(update={"name": name, "columns": columns})
    found.tasks["all"] = found.tasks["one"].model_copy(update={"unites": ["one", "two"], "sources": []})
    assert [line.partition(",")[0] for line in _union_faults(found, "all")] == [
        '"one" finds candidates by their ids',
        '"two" finds candidates by their ids',
    ]
