"""The check stage: the unit `preflight`, which has everything that the study fetches among its inputs.

Writes `report.json`: what was looked at and what is to be known. With problems nothing is committed and all of them are
raised together, one line each.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from isthmus.check import datasets, features, scorer
from isthmus.check.findings import Findings
from isthmus.check.vocabulary import Vocabulary, embedding_rows, outline, stand_in, vocabulary
from isthmus.errors import DataError, UsageError
from isthmus.log import say
from isthmus.model import encoder as encoders
from isthmus.model.device import settle
from isthmus.work import Work

REPORT = "report.json"


def run(works: Sequence[Work]) -> None:
    """Check each unit. Inputs that are not there are passed over: whoever left them out knows why.

    Raises:
        DataError: something has to be mended; a line for each problem.
    """
    settle(1)
    for work in works:
        findings = examine(work)
        for note in findings.notes:
            say(f"note: {note}")
        if findings.problems:
            raise DataError("\n".join(findings.problems))
        report = {"looked": findings.looked, "notes": findings.notes}
        text = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False)
        (work.folder / REPORT).write_text(text + "\n", encoding="utf-8")
        work.commit(details={"notes": len(findings.notes)})


def examine(work: Work) -> Findings:
    """Look at all of it."""
    spec, inputs, findings = work.spec, work.inputs, Findings()
    splits = datasets.look(spec["data"], inputs, findings)
    datasets.coverage(spec["uses"], splits, findings)
    vocabularies = dict(_vocabularies(work, splits, findings))
    benches = {
        name: features.bench(found, features.longest(spec["uses"], name))
        for name, found in vocabularies.items()
    }
    tried = features.try_uses(spec["uses"], splits, benches, inputs, findings)
    scorer.try_scorers(
        spec["uses"], splits, lambda use, role: features.labels_of(use, role, inputs), findings
    )
    findings.looked = {"tasks": _table(splits), "rows_tried": tried, "encoders": sorted(vocabularies)}
    return findings


def _vocabularies(
    work: Work, splits: Mapping[datasets.Key, datasets.Split], findings: Findings
) -> Iterator[tuple[str, Vocabulary]]:
    invented: Vocabulary | None = None
    for name, described in work.spec["encoders"].items():
        where = f"the encoder {name}"
        if "init" in described:
            if invented is None:
                folder = work.state / "stand-in"
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                invented = stand_in((split.sample for split in splits.values()), folder)
            findings.note(where, "it has no tokenizer yet: its data were tried with a stand-in.")
            yield name, invented
        elif f"encoder/{name}" in work.inputs:
            with findings.caught(f"{where} ({described['id']})"):
                found = vocabulary(work.inputs[f"encoder/{name}"])
                yield name, found
                _fits(work, name, work.inputs[f"encoder/{name}"], found)


def _fits(work: Work, name: str, folder: Path, found: Vocabulary) -> None:
    """The encoder's shape beside its tokenizer and the study's lengths.

    Raises:
        DataError: they do not go together.
    """
    model = outline(folder)
    if embedding_rows(model) < found.specials.rows:
        raise DataError(
            f"its tokenizer has {found.specials.rows} ids, and its embedding {embedding_rows(model)} rows. The files are of "
            "two encoders: fetch it again, or choose another."
        )
    longest = features.longest(work.spec["uses"], name)
    try:
        encoders.require_length(model, longest, name)
    except UsageError as error:
        raise DataError(str(error)) from error


def _table(splits: Mapping[datasets.Key, datasets.Split]) -> dict[str, Any]:
    """Per task its languages and the rows of each split, all languages together."""
    found: dict[str, Any] = {}
    for (role, name), split in splits.items():
        _, task, language = role.split("/")
        entry = found.setdefault(task, {"languages": [], "rows": {}})
        if language not in entry["languages"]:
            entry["languages"].append(language)
        entry["rows"][name] = entry["rows"].get(name, 0) + split.rows
    return found
