"""Settings of a machine, from the environment. None of them is part of a result's identity.

ISTHMUS_STORE    the store's folder (default: results/store below the working folder)
ISTHMUS_HUB      a folder in the hub's layout, for studies that say `hub: mirror`
ISTHMUS_CACHE    where studies that say `hub: huggingface` keep what they download (default: results/hub below the
                 working folder)
ISTHMUS_HUB_PATIENCE   seconds for which a request to the hub is tried again (default: 300)
ISTHMUS_VERIFY   `full` (default) reads and checks every input artifact before use, `size` only measures it

The hub's own settings are heeded: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT, and those of proxies.
"""

import os
from pathlib import Path

from isthmus.errors import UsageError


def store_root() -> Path:
    """The folder of the store."""
    return Path(os.environ.get("ISTHMUS_STORE") or "results/store").expanduser()


def mirror_root() -> Path:
    """The folder of the mirror that ISTHMUS_HUB names.

    Raises:
        UsageError: it is not set.
    """
    value = os.environ.get("ISTHMUS_HUB")
    if not value:
        raise UsageError(
            "The study says `hub: mirror`, but ISTHMUS_HUB is not set. Set it to a folder in the hub's layout "
            "(<owner>/<name>/<config>/<split>-00000-of-00001.parquet), or write that folder in the study: `hub: FOLDER`."
        )
    return Path(value).expanduser().absolute()


def cache_root() -> Path:
    """The folder of what was downloaded from the Hugging Face hub. Beside the store, because a home folder often has a
    quota, and because it is a mirror that a study can be given.
    """
    return Path(os.environ.get("ISTHMUS_CACHE") or "results/hub").expanduser().absolute()


def hub_patience_s() -> float:
    """Seconds for which a request to the hub is tried again.

    Raises:
        UsageError: ISTHMUS_HUB_PATIENCE is no such number.
    """
    value = os.environ.get("ISTHMUS_HUB_PATIENCE") or "300"
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 7 * 24 * 3600:
        raise UsageError(
            f"ISTHMUS_HUB_PATIENCE is {value!r}; it must be a number of seconds, at most a week."
        )
    return seconds


def hub_offline() -> bool:
    """Whether the network may not be used, by the hub's own settings."""
    values = (os.environ.get("HF_HUB_OFFLINE"), os.environ.get("TRANSFORMERS_OFFLINE"))
    return any(value is not None and value.upper() in ("1", "ON", "YES", "TRUE") for value in values)


def verify_fully() -> bool:
    """Whether input artifacts are read and checked before use.

    Raises:
        UsageError: ISTHMUS_VERIFY is neither `full` nor `size`.
    """
    value = os.environ.get("ISTHMUS_VERIFY", "full")
    if value not in ("full", "size"):
        raise UsageError(f"ISTHMUS_VERIFY is {value!r}; it must be `full` or `size`.")
    return value == "full"


def share_source() -> None:
    """Let processes that this one starts import the same isthmus, installed or not."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def runs_within_isthmus() -> bool:
    """Whether Snakemake was started by `isthmus run`, which shows the table itself."""
    return "ISTHMUS_RUN" in os.environ
