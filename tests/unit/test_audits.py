"""The units of the audit of contamination: what they depend on, and what counts as trained on."""

import subprocess
import sys
from pathlib import Path

from isthmus import jobs as module
from isthmus.jobs import Unit
from isthmus.tasks import files
from tests.conftest import MICRO
from tests.unit.test_expand import table


def audit(tmp_path: Path, text: str) -> Unit:
    return next(job for job in table(tmp_path, text) if job.place == "audit").units[0]


def test_a_familys_code_is_no_part_of_a_fingerprint(tmp_path: Path) -> None:
    """A change to a head leaves all fingerprints as they are; the columns that a family names stand in the spec."""
    parents = audit(tmp_path, MICRO.replace("targets: [xnli]", "targets: [xnli, lareqa, tatoeba]")).parents
    assert not [unit.plugins for unit in parents.values() if unit.plugins]
    specs = {role: unit.spec for role, unit in parents.items()}
    assert "text_a" in specs["test/xnli/de"]["fields"] and "sides" not in specs["test/xnli/de"]
    assert specs["test/lareqa/de"]["fields"] == ["text", "beside"]
    assert specs["test/lareqa/de"]["sides"] == ["query", "candidate"]
    assert specs["test/tatoeba/de"]["sides"] == ["own", "English"]
    assert {role: spec["kept"] for role, spec in specs.items()} == {
        role: "set" if role.startswith("train/") else "examples" for role in specs
    }


def test_a_familys_columns_are_read_without_numpy() -> None:
    code = "import sys, isthmus.audits as a; a._texts('match'); print('numpy' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
    assert set(files.audited()) >= {"match"} and set(files.sides()) == {"match", "retrieve"}


def test_the_candidates_of_a_pool_are_trained_on(tmp_path: Path) -> None:
    found = audit(tmp_path, MICRO.replace("targets: [xnli]", "targets: [xnli, mewslix]"))
    roles = {entry["training"]: (entry["languages"], entry["roles"]) for entry in found.spec["trainings"]}
    assert roles["mewslix_entities"] == (["en"], {"target": ["mewslix"]})
    spec = found.parents["train/mewslix_entities/en"].spec
    assert (spec["split"], spec["kept"]) == ("test", "set")
    arm = audit(tmp_path, MICRO.replace("  mnli: mnli\n", "  linked: mewslix\n"))
    roles = {entry["training"]: (entry["languages"], entry["roles"]) for entry in arm.spec["trainings"]}
    assert roles["mewslix_entities"] == (["en"], {"intermediate": None})


def test_fingerprints_ask_for_the_memory_that_a_large_text_takes(tmp_path: Path) -> None:
    jobs = {job.place: job for job in table(tmp_path)}
    assert jobs["fingerprints/wikipedia"].memory_mb == 6000
    assert jobs["audit"].memory_mb < 6000 and module.STAGES["fingerprint"] == "isthmus.evaluate.fingerprint"
