"""A mirror: a folder in the hub's layout, `<owner>/<name>/<config>/<split>-*.parquet` for datasets and
`<owner>/<name>/config.json, model.safetensors, …` for encoders. Where it lies is never part of an identity; what
its files contain is.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.disk import sha256
from isthmus.errors import DataError, HubError
from isthmus.hubs import OWNER, SYNTHETIC_MARK, wanted

if TYPE_CHECKING:
    import pyarrow as pa


class Mirror:
    """The plan's view of a mirror."""

    kind = "hub"

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self._root = folder
        self.synthetic = (folder / SYNTHETIC_MARK).is_file()

    def languages(self) -> tuple[str, ...] | None:
        """Only the datasets limit a mirror's languages."""
        return None

    def offers(self, hub_id: str, config: str, split: str) -> bool:
        """Whether the split's files are there."""
        return bool(shards(self._root, hub_id, config, split))

    def unread(self) -> list[str]:
        """What to tell of files at addresses that are there as they were published; a line, or none."""
        files = published(self._root)
        return [f"It has {', '.join(files[:5])}. {UNREAD}"] if files else []

    def contents(self, spec: Mapping[str, Any]) -> dict[str, str] | None:
        """The hashes of the files that a spec reads, by role."""
        source = spec["source"]
        if "splits" not in spec:
            files = found_files(self._root, source["id"], spec["files"])
            return {f"file/{name}": sha256 for name, sha256 in _hashes(files).items()} if files else None
        found: dict[str, str] = {}
        for config, split in wanted(source, spec["splits"].values()):
            paths = shards(self._root, source["id"], config, split)
            if not paths:
                return None
            # Other configs have files of the same names; only where there are several is the folder in the role.
            prefix = f"file/{config}/" if "configs" in source else "file/"
            found |= {f"{prefix}{name}": sha256 for name, sha256 in _hashes(paths).items()}
        return found


def read(source: Mapping[str, Any], split: str, folder: Path) -> "pa.Table":
    """A split's rows, every column as the mirror has it.

    Raises:
        HubError: the mirror does not have it.
        DataError: a file is not readable.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for path in require_shards(folder, source["id"], source["config"], split):
        try:
            # Not read_table: it imports what reads folders of files, and with it pandas, for a second.
            with pq.ParquetFile(path) as file:
                tables.append(file.read())
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path} is not a readable parquet file ({error}). Fetch it again.") from error
    return pa.concat_tables(tables)


def shards(root: Path, hub_id: str, config: str, split: str) -> list[Path]:
    """The parquet files of a split, in order; empty if the mirror does not have it."""
    return sorted((root / hub_id / config).glob(f"{split}-*-of-*.parquet"))


def require_shards(root: Path, hub_id: str, config: str, split: str) -> list[Path]:
    """The parquet files of a split.

    Raises:
        HubError: the mirror does not have it, or shards are missing.
    """
    paths = shards(root, hub_id, config, split)
    if not paths:
        raise HubError(
            f"The mirror {root} has no {hub_id}, config {config}, split {split}: expected "
            f"{Path(hub_id, config)}/{split}-00000-of-*.parquet. Add it there, or leave this task or language out."
            + (f" {UNREAD}" if any(name.startswith(f"{hub_id}/") for name in published(root)) else "")
        )
    expected = int(paths[0].stem.rsplit("-of-", 1)[1])
    if len(paths) != expected:
        raise HubError(
            f"The mirror {root} has {len(paths)} of {expected} shards of {hub_id} {config} {split}. Copy the others "
            "there, or leave this task or language out."
        )
    return paths


def published(root: Path) -> list[str]:
    """The files of datasets at addresses that a mirror has as they were published, which it cannot read."""
    found = (root / OWNER).glob("*/*")
    return sorted(path.relative_to(root).as_posix() for path in found if path.is_file())


UNREAD = (
    "A mirror is read as parquet files. To make them of what it has: run `isthmus fetch` on the study with `hub: huggingface`, "
    "ISTHMUS_CACHE being the mirror's folder; no network is needed for the files that are there."
)


def encoder_files(root: Path, hub_id: str, patterns: list[str]) -> list[Path]:
    """The files of an encoder's folder that match the patterns, in order.

    Raises:
        HubError: the mirror does not have the encoder.
    """
    files = found_files(root, hub_id, patterns)
    if not files:
        raise HubError(
            f"The mirror {root} has no encoder {hub_id}: expected {Path(hub_id)}/config.json. Add it there."
        )
    return files


def found_files(root: Path, hub_id: str, patterns: list[str]) -> list[Path]:
    """The same, but none where there is no encoder."""
    folder = root / hub_id
    if not (folder / "config.json").is_file():
        return []
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def _hashes(paths: list[Path]) -> dict[str, str]:
    """Each file's hash by its name."""
    found = {}
    for path in paths:
        state = path.stat()
        found[path.name] = _sha256(path, state.st_size, state.st_mtime_ns)
    return found


@functools.cache
def _sha256(path: Path, size: int, mtime_ns: int) -> str:
    """A file's hash; cached within the process, because one file may serve forty languages."""
    return sha256(path)
