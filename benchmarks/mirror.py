"""Where the texts are: a folder in the hub's layout."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
NEEDED = (
    "nyu-mll/glue/mnli",
    "facebook/xnli/en",
    "google/xtreme/udpos.English",
    "rajpurkar/squad/plain_text",
)


class NoData(Exception):
    """The texts to measure with are not here."""


def folder() -> Path:
    """The mirror that ISTHMUS_HUB or ISTHMUS_TEST_HUB names, else ../shared/hub beside the repository.

    Raises:
        NoData: there is none, or it lacks a dataset.
    """
    named = os.environ.get("ISTHMUS_HUB") or os.environ.get("ISTHMUS_TEST_HUB")
    found = Path(named) if named else REPOSITORY.parent / "shared" / "hub"
    lacking = [name for name in NEEDED if not any((found / name).glob("*.parquet"))]
    if lacking:
        raise NoData(
            f"The benchmarks need real texts, and {found} has no {', '.join(lacking)}. Set ISTHMUS_HUB to a folder in "
            "the hub's layout (<owner>/<name>/<config>/<split>-00000-of-00001.parquet) that has them."
        )
    return found.absolute()
