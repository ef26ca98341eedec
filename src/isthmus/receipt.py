"""Receipts: the small deterministic files that Snakemake sees as the outputs of jobs.

A receipt says which artifacts a job's units became. It holds nothing of time, host or cost, so equal work gives
equal bytes; those stand in the artifacts' manifests.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import DataError
from isthmus.spec import canonical, fingerprint
from isthmus.store import Artifact, write_json

MOST_BYTES = 64 * 1024
FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """What became of one unit: where its artifact is (stage, digest), its content and status."""

    stage: str
    digest: str
    content: str
    status: str

    @classmethod
    def of(cls, artifact: Artifact) -> "Outcome":
        """The outcome that an artifact of the store stands for."""
        manifest = artifact.manifest
        return cls(manifest["stage"], manifest["digest"], artifact.content, artifact.status)


def write(path: Path, key: str, specs: Mapping[str, Any], outcomes: Mapping[str, Outcome]) -> None:
    """Write the receipt of a job.

    `specs` and `outcomes` are by unit key. Specs that would make the receipt larger than 64 KiB are replaced by
    their hashes: a receipt is an edge of the DAG, which Snakemake reads whole.
    """
    units = {unit: {**asdict(outcome), "spec": specs[unit]} for unit, outcome in outcomes.items()}
    receipt = {"format": FORMAT, "key": key, "units": units}
    if len(canonical(receipt).encode()) > MOST_BYTES:
        for entry in units.values():
            entry["spec"] = {"sha256": fingerprint(entry["spec"])}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, receipt)


def read(path: Path) -> dict[str, Outcome]:
    """The outcomes in a receipt, by unit key.

    Raises:
        DataError: there is no receipt, or it is damaged.
    """
    try:
        receipt = json.loads(path.read_text(encoding="utf-8"))
        return {
            unit: Outcome(entry["stage"], entry["digest"], entry["content"], entry["status"])
            for unit, entry in receipt["units"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"The receipt {path} cannot be read ({type(error).__name__}: {error}). Remove it and run again: it is "
            "written anew from the store, or its job runs."
        ) from error


def stamp(path: Path, seconds: float) -> None:
    """Set the receipt's time to that of its artifact's commit, whoever touched or copied it since."""
    os.utime(path, (seconds, seconds))
