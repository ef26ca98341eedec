"""Hubs: where datasets and encoders come from. A catalogue entry does not know which of them serves it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

# What a spec's `hub` says, and the module whose `read(source, split, folder)` gives a split's rows. A mirror and the
# Hugging Face hub are one kind: the same files in two places.
HUB_MODULES = {"babel": "isthmus.hubs.babel.hub", "hub": "isthmus.hubs.mirror"}


# The owner of datasets that are files at an address.
OWNER = "archives"

# A mirror with this file holds generated data, and every table made from it says so.
SYNTHETIC_MARK = "SYNTHETIC.md"


def wanted(source: Mapping[str, Any], splits: Iterable[str | list[str]]) -> Iterator[tuple[str, str]]:
    """Every (config, split) of the hub that a source is read from."""
    configs = source["configs"].values() if "configs" in source else [source["config"]]
    for config in configs:
        for split in splits:
            yield from ((config, name) for name in ([split] if isinstance(split, str) else split))


class Hub(Protocol):
    """What the plan asks of a hub. `kind` stands in specs; `synthetic` marks every number that comes of it."""

    kind: str
    synthetic: bool
    folder: Path | None

    def languages(self) -> tuple[str, ...] | None:
        """The languages it is limited to, or None where only the dataset limits them."""
        ...

    def offers(self, hub_id: str, config: str, split: str) -> bool:
        """Whether it has this split; one look, no download."""
        ...

    def contents(self, spec: Mapping[str, Any]) -> dict[str, str] | None:
        """Hashes of the files a fetch or encoder spec reads, by role; None when they cannot be seen now."""
        ...
