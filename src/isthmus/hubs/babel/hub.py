"""The entry of babel: dataset ids become tables, exactly as the real hub names and types them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.errors import HubError
from isthmus.hubs import SYNTHETIC_MARK
from isthmus.hubs.babel import (
    bitext,
    causes,
    choices,
    elsewhere,
    japanese,
    lookup,
    nli,
    paraphrase,
    spans,
    tags,
    texts,
)
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.tables import SYNTHETIC, Dataset, table


def _by_id(datasets: Iterable[Dataset]) -> dict[str, tuple[Dataset, ...]]:
    found: dict[str, tuple[Dataset, ...]] = {}
    for dataset in datasets:
        found[dataset.hub_id] = (*found.get(dataset.hub_id, ()), dataset)
    return found


# A hub id may hold several datasets with other columns (GLUE, XTREME); no two share a config.
DATASETS: Mapping[str, tuple[Dataset, ...]] = _by_id(
    dataset
    for module in (nli, paraphrase, tags, spans, choices, bitext, texts, causes, japanese, elsewhere, lookup)
    for dataset in module.DATASETS
)


def languages() -> tuple[str, ...]:
    """The languages of babel, as ISO codes."""
    return tuple(LANGUAGES)


def offers(hub_id: str, config: str, split: str) -> bool:
    """Does babel have this split?"""
    return any(config in dataset.configs and split in dataset.splits for dataset in DATASETS.get(hub_id, ()))


def _find(hub_id: str, config: str, split: str | None = None) -> Dataset:
    """The dataset. Raises HubError that says what babel has instead."""
    if hub_id not in DATASETS:
        raise HubError(f"babel has no dataset {hub_id}. It has: {', '.join(sorted(DATASETS))}.")
    dataset = next((dataset for dataset in DATASETS[hub_id] if config in dataset.configs), None)
    if dataset is None:
        there = sorted(config for dataset in DATASETS[hub_id] for config in dataset.configs)
        raise HubError(f"babel has no config {config} of {hub_id}. It has: {', '.join(there)}.")
    if split is not None and split not in dataset.splits:
        raise HubError(
            f"babel has no split {split} of {hub_id} {config}. It has: {', '.join(dataset.splits)}."
        )
    return dataset


def serve(hub_id: str, config: str, split: str) -> pa.Table:
    """One split as a table with the hub's columns and features; equal in every process.

    Raises HubError if babel does not have it, with what it has.
    """
    dataset = _find(hub_id, config, split)
    return table(dataset, dataset.rows(dataset.configs[config], split))


def oracle(hub_id: str, config: str, row: Mapping[str, Any]) -> Any:
    """The row's answer as its column has it (a label's index), decided from its text alone by parsing it.

    Raises HubError for datasets without answers, DataError if a sentence is not one of the language.
    """
    dataset = _find(hub_id, config)
    if dataset.oracle is None:
        raise HubError(f"{hub_id} has no labels that an oracle could decide.")
    return dataset.oracle(dataset.configs[config], row)


def write_tree(folder: Path, ids: Iterable[str] | None = None) -> None:
    """Write datasets (all, or those named) as a mirror in the hub's layout.

    Each becomes <owner>/<name>/<config>/<split>-00000-of-00001.parquet with a README.md that names the configs,
    as `datasets.load_dataset` reads them, and says that all is synthetic.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / SYNTHETIC_MARK).write_text(SYNTHETIC + "\n", encoding="utf-8")
    for hub_id in DATASETS if ids is None else ids:
        datasets = DATASETS.get(hub_id) or (_find(hub_id, ""),)
        root = Path(folder) / hub_id
        for dataset in datasets:
            for config in dataset.configs:
                (root / config).mkdir(parents=True, exist_ok=True)
                for split in dataset.splits:
                    path = root / config / f"{split}-00000-of-00001.parquet"
                    pq.write_table(serve(hub_id, config, split), path, compression="zstd")
        (root / "README.md").write_text(_card(hub_id, datasets), encoding="utf-8")


def _card(hub_id: str, datasets: Iterable[Dataset]) -> str:
    """The dataset card: its configs as YAML, then what it is."""
    lines = ["---", "configs:"]
    for dataset in datasets:
        for config in dataset.configs:
            lines += [f"- config_name: {config}", "  data_files:"]
            for split in dataset.splits:
                lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    return "\n".join([*lines, "---", f"# {hub_id}, as babel has it", "", SYNTHETIC, ""])


def read(source: Mapping[str, Any], split: str, folder: Path | None) -> pa.Table:
    """A split's rows, as every hub module gives them; babel has no folder."""
    return serve(source["id"], source["config"], split)


class Babel:
    """The plan's view of babel."""

    kind = "babel"
    synthetic = True
    folder: Path | None = None

    def languages(self) -> tuple[str, ...] | None:
        """The languages that babel speaks."""
        return languages()

    def offers(self, hub_id: str, config: str, split: str) -> bool:
        """Whether babel generates this split."""
        return offers(hub_id, config, split)

    def contents(self, spec: Mapping[str, Any]) -> dict[str, str] | None:
        """No files: the generator's code decides everything, and it is in the closure."""
        return {}
