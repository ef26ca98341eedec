import difflib
import json
from pathlib import Path

import pytest

from isthmus.study import docs as study_docs
from isthmus.study.format import StudyFile
from isthmus.study.yamlfile import load

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("path", "text"),
    [(study_docs.SCHEMA, study_docs.schema()), (study_docs.REFERENCE, study_docs.reference())],
    ids=["schema", "reference"],
)
def test_generated_files_are_fresh(path: Path, text: str) -> None:
    stands = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()
    difference = "\n".join(
        difflib.unified_diff(stands, text.splitlines(), str(path), "generated", lineterm="")
    )
    assert not difference, f"{path} is stale, run `python -m isthmus.study.docs`:\n{difference}"


def test_write_makes_both_files(tmp_path: Path) -> None:
    study_docs.write(tmp_path)
    assert (tmp_path / study_docs.SCHEMA).read_text() == study_docs.schema()
    assert (tmp_path / study_docs.REFERENCE).read_text() == study_docs.reference()


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    schema = json.loads(study_docs.schema())
    models = [schema, *schema["$defs"].values()]
    assert all(model["additionalProperties"] is False for model in models)
    assert set(schema["properties"]) == {
        field.alias or name for name, field in StudyFile.model_fields.items()
    }


def test_every_key_has_a_meaning_in_the_reference() -> None:
    rows = [line for line in study_docs.reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert all(row.count("|") == 5 and row.split("|")[4].strip() for row in rows)


def test_the_default_study_fits_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(load(REPOSITORY / "config.yaml").value, json.loads(study_docs.schema()))
