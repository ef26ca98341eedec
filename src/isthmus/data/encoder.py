"""The encoder stage: a pre-trained encoder from the hub, as an ordinary folder, its tokenizer as a unit of its own.

Weights are taken as safetensors only: a pickle can run code when it is opened.
"""

import json
import shutil
from collections.abc import Sequence

from isthmus.errors import DataError
from isthmus.log import say
from isthmus.work import Work


def run(works: Sequence[Work]) -> None:
    """Copy each unit's files from the hub.

    Raises:
        HubError: the hub does not have the encoder.
        DataError: it has no fast tokenizer, no safetensors, or asks for code of its own.
    """
    from isthmus.hubs.mirror import encoder_files

    for work in works:
        source = work.spec["source"]
        for path in encoder_files(work.inputs["hub"], source["id"], work.spec["files"]):
            shutil.copyfile(path, work.folder / path.name)
        _check(work)
        size = sum(path.stat().st_size for path in work.folder.iterdir())
        say(f"{work.name}: {source['id']}, {size / 2**20:.1f} MiB")
        work.commit(details={"bytes": size})


def _check(work: Work) -> None:
    name = work.spec["source"]["id"]
    if not (work.folder / "tokenizer.json").is_file():
        raise DataError(
            f"{name} has no tokenizer.json (a fast tokenizer). Save one with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...) and add it to the mirror."
        )
    if "config.json" not in work.spec["files"]:
        return
    if not any(work.folder.glob("*.safetensors")):
        raise DataError(
            f"{name} has no *.safetensors. Pickled weights are not read: convert them with "
            "save_pretrained(safe_serialization=True) and add the result to the mirror."
        )
    if "auto_map" in json.loads((work.folder / "config.json").read_text(encoding="utf-8")):
        raise DataError(
            f"{name} wants to run code of its own (`auto_map` in config.json); isthmus never does that."
        )
