"""The last units of a study: its tables and its report, made of all the scores."""

import itertools
from collections.abc import Mapping
from typing import Any

from isthmus.hubs import Hub
from isthmus.jobs import JobTable, Unit
from isthmus.needs import Needs
from isthmus.study.load import HubEncoder, Study
from isthmus.tasks.task import STUDY, Source
from isthmus.units import arm_row

Scored = dict[tuple[str, int, str, str], dict[str, Unit]]
"""(encoder, seed, arm, target) -> language -> the unit that scores it."""


def add_tables(
    table: JobTable,
    study: Study,
    hub: Hub,
    needs: Needs,
    scored: Mapping[tuple[str, int, str, str], dict[str, Unit]],
    audit: Unit,
    sources: Mapping[tuple[str, str], Source],
) -> None:
    """Add the tables, and the report, which the audit stands in as well. Cells stand in the order of the study; `sources`
    says where each (task, language) is read.
    """
    cells: list[dict[str, Any]] = []
    scores: dict[str, Unit] = {}
    for run in itertools.product(study.encoders, study.seeds, study.arms, study.targets):
        encoder, seed, arm, target = run
        for language, unit in scored[run].items():
            role = f"score/{len(cells)}"
            scores[role] = unit
            cells.append(
                {
                    "encoder": encoder,
                    "arm": arm,
                    "target": target,
                    "language": language,
                    "split": "test",
                    "seed": seed,
                    "metric": study.tasks[target].metric,
                    "score": role,
                }
            )
    arms = [arm_row(arm) for arm in study.arms.values()]
    spec = {"study": study.name, "cells": cells, "arms": arms, "synthetic": hub.synthetic}
    metrics = sorted({f"isthmus.evaluate.metrics.{cell['metric']}" for cell in cells})
    tables = Unit("tabulate", "tables", spec, scores, tuple(metrics))
    table.add("tabulate", "tabulate", [tables], publishes=("scores.parquet", "arms.parquet", "gains.csv"))
    spec = {
        "study": study.name,
        "question": study.question,
        "synthetic": hub.synthetic,
        "notes": [
            *_cautions(study, needs, sources),
            *_pools(study, needs),
            *_oracles(study, needs),
            *_unaudited(study),
        ],
    }
    report = Unit("report", "report", spec, {"tables": tables, "audit": audit})
    table.add("report", "report", [report], publishes=("report.html",))


def _cautions(study: Study, needs: Needs, sources: Mapping[tuple[str, str], Source]) -> list[str]:
    """What the catalogue has a reader know of targets and arms' tasks, and of the sources that they are read from."""
    found = []
    for name in dict.fromkeys((*study.targets, *needs.arm_tasks())):
        mine = (source.caution for (task, _), source in sources.items() if task == name)
        texts = dict.fromkeys((study.tasks[name].caution, *mine))
        found += [f"{study.tasks[name].title}: {text}" for text in texts if text]
    return found


def _pools(study: Study, needs: Needs) -> list[str]:
    """Which targets look among the candidates of fewer languages than they have: their scores are not the published ones'."""
    found = []
    for task in (study.tasks[name] for name in study.targets):
        languages = needs.languages(task)
        if task.pool == STUDY and len(languages) < len(task.codes):
            found.append(
                f"{task.title}: candidates were looked for in {', '.join(languages)}, of {len(task.codes)} languages. With "
                "more of them there are more right ones and more wrong ones: such scores cannot be compared."
            )
    return found


def _unaudited(study: Study) -> list[str]:
    """What the audit of contamination cannot see."""
    names = [name for name, encoder in study.encoders.items() if isinstance(encoder, HubEncoder)]
    if not names:
        return []
    return [
        f"{', '.join(names)}: the text of the encoder's pre-training is not at hand, so it is not in the audit."
    ]


def _oracles(study: Study, needs: Needs) -> list[str]:
    """Which scores are not zero-shot, as their checkpoints were chosen in the languages to transfer to."""
    chosen = [
        f"{', '.join(target.title for target in targets)} ({encoder})"
        for encoder in study.encoders
        for training_set, targets in needs.training_sets().items()
        if study.recipe_for(encoder, "target", (training_set,))["select"] == "oracle_dev"
    ]
    if not chosen:
        return []
    return [
        f"{'; '.join(chosen)}: checkpoints were selected on development examples of the languages to transfer to "
        "(oracle_dev). These scores are not zero-shot."
    ]
