"""The tables of a study, read back for the terminal and the report."""

import csv
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from isthmus.errors import DataError
from isthmus.publish.cells import BASELINE, OK
from isthmus.publish.gains import MEAN, SYNTHETIC

CONSTANT = "constant answer"  # what gets the floor of most metrics
FILES = ("scores.parquet", "gains.csv")
_INTEGERS = ("seeds", "n")
_NUMBERS = ("baseline", "value", "gain", "ci_low", "ci_high")


@dataclass(frozen=True)
class Results:
    """`scores` are the rows of scores.parquet, `gains` those of gains.csv with numbers as numbers or None.

    `floors` holds by target and language what can be had without looking, 0 to 100, and `floor_names` by target what
    gets it, where that is no constant answer; `layers` the runs for which a layer was chosen, with the mean score of each.
    """

    study: str
    synthetic: bool
    floors: Mapping[str, Mapping[str, float]]
    floor_names: Mapping[str, str]
    layers: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    gains: list[dict[str, Any]]

    @functools.cached_property
    def _index(self) -> dict[tuple[str, str, str, str], dict[str, Any]]:
        names = ("encoder", "arm", "target", "language")
        return {(row[names[0]], row[names[1]], row[names[2]], row[names[3]]): row for row in self.gains}

    def gain(self, encoder: str, arm: str, target: str, language: str = MEAN) -> dict[str, Any] | None:
        """The row of gains.csv, if there is one."""
        return self._index.get((encoder, arm, target, language))

    @functools.cached_property
    def _scores(self) -> dict[tuple[str, str, str, str], dict[str, Any]]:
        return {
            (row["encoder"], row["intermediate"], row["target"], row["language"]): row
            for row in self.scores
            if row["metric"] == self.metrics.get(row["target"]) and row["split"] == self.splits[row["target"]]
        }

    def score(self, encoder: str, arm: str, target: str, language: str) -> dict[str, Any] | None:
        """The row of scores.parquet with the main metric; with several seeds, the last one's."""
        return self._scores.get((encoder, arm, target, language))

    def floor_name(self, target: str) -> str:
        """What gets the target's floor."""
        return self.floor_names.get(target, CONSTANT)

    @functools.cached_property
    def encoders(self) -> list[str]:
        """In the order of the study, as everything here."""
        return _unique(row["encoder"] for row in self.gains)

    def arms(self, encoder: str) -> list[str]:
        """The encoder's arms, the baseline first."""
        arms = _unique(row["arm"] for row in self.gains if row["encoder"] == encoder)
        return sorted(arms, key=lambda arm: arm != BASELINE)

    def targets(self, encoder: str) -> list[str]:
        """The encoder's targets, without their mean."""
        return _unique(
            row["target"] for row in self.gains if row["encoder"] == encoder and row["target"] != MEAN
        )

    def languages(self, encoder: str, target: str) -> list[str]:
        """The target's languages, without their mean."""
        return _unique(
            row["language"]
            for row in self.gains
            if row["encoder"] == encoder and row["target"] == target and row["language"] != MEAN
        )

    @functools.cached_property
    def metrics(self) -> dict[str, str]:
        """The main metric of each target that has a score."""
        metrics: dict[str, str] = {}
        for row in self.scores:
            if row["metric"] is not None:
                metrics.setdefault(row["target"], row["metric"])
        return metrics

    @functools.cached_property
    def splits(self) -> dict[str, str]:
        """The split that the gains of each target are for: the test split where there is one."""
        splits: dict[str, str] = {}
        for row in self.scores:
            if row["target"] not in splits or row["split"] == "test":
                splits[row["target"]] = row["split"]
        return splits

    @functools.cached_property
    def seeds(self) -> list[int]:
        """All training seeds that the study asks for."""
        return _unique(row["seed"] for row in self.scores)

    def unsound(self) -> list[dict[str, Any]]:
        """Cells that are blank or flawed, grouped: encoder, arm, target, split, status, languages, seeds, blank."""
        groups: dict[tuple[str, ...], dict[str, Any]] = {}
        for row in self.scores:
            if row["status"] == OK:
                continue
            names = tuple(row[name] for name in ("encoder", "intermediate", "target", "split", "status"))
            group = groups.setdefault(names, {"languages": {}, "seeds": {}, "blank": row["value"] is None})
            group["languages"][row["language"]] = None
            group["seeds"][row["seed"]] = None
        return [
            dict(zip(("encoder", "arm", "target", "split", "status"), names, strict=True))
            | {"languages": list(group["languages"]), "seeds": list(group["seeds"]), "blank": group["blank"]}
            for names, group in groups.items()
        ]


def read(folder: Path) -> Results:
    """Read scores.parquet and gains.csv of a results folder.

    Raises:
        DataError: a table is not there, or was not written by isthmus.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise DataError(
                f"There is no {name} in {folder}. Run the study first, or name its results folder."
            )
    parquet = pq.ParquetFile(folder / FILES[0])
    try:
        metadata = json.loads(parquet.schema_arrow.metadata[b"isthmus"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(
            f"{folder / FILES[0]} does not say which study it belongs to ({error!r}): it was not written by "
            "isthmus, or rewritten by another program. Run the study again to make it anew."
        ) from error
    with (folder / FILES[1]).open(newline="", encoding="utf-8") as file:
        gains = [_typed(row) for row in csv.DictReader(file)]
    scores = parquet.read(use_threads=False).to_pylist()
    return Results(
        study=metadata["study"],
        synthetic=metadata["synthetic"],
        floors=metadata.get("floors", {}),
        floor_names=metadata.get("floor_names", {}),
        layers=metadata.get("layers", []),
        scores=scores,
        gains=gains,
    )


def signed(gain: float) -> str:
    """A gain as people read it: +1.2, −0.3 with a true minus, 0.0 without a sign."""
    text = f"{gain:+.1f}"
    return "0.0" if float(text) == 0 else text.replace("-", "−")


def _typed(row: dict[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = dict(row)
    for name in _INTEGERS:
        typed[name] = int(row[name])
    for name in _NUMBERS:
        typed[name] = float(row[name]) if row[name] else None
    typed["note"] = "; ".join(part for part in row["note"].split("; ") if part and part != SYNTHETIC)
    return typed


def _unique(items: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(items))
