"""The outputs of an inference are the same on the disk as in memory."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus.errors import StorageError
from isthmus.model import columns
from isthmus.model.columns import Columns


def filled(spill: Path | None) -> dict:
    """Columns of seven rows, given out of order."""
    found = Columns(7, spill)
    vectors = np.arange(7 * 3 * 4, dtype=np.float32).reshape(7, 3, 4)
    for some in (np.array([5, 1]), np.array([0]), np.array([6, 2, 3, 4])):
        found.put(
            some,
            {"vectors": vectors[some], "best": some.astype(np.int32), "words": [np.arange(n) for n in some]},
        )
    return found.found


def test_rows_come_to_their_places() -> None:
    found = filled(None)
    np.testing.assert_array_equal(found["vectors"].ravel(), np.arange(84))
    assert found["best"].tolist() == list(range(7)) and found["best"].dtype == np.int32
    assert [len(words) for words in found["words"]] == list(range(7))


def test_what_is_large_lies_on_the_disk_and_is_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(columns, "HELD", 100)
    plain, found = filled(None), filled(tmp_path)
    assert isinstance(found["vectors"].base, np.memmap) and not isinstance(plain["vectors"].base, np.memmap)
    assert not isinstance(found["best"], np.memmap)  # it is small
    for name in ("vectors", "best"):
        assert found[name].shape == plain[name].shape
        np.testing.assert_array_equal(found[name], plain[name])
    for layer in range(3):
        np.testing.assert_array_equal(found["vectors"][[1, 4], layer], plain["vectors"][[1, 4], layer])
        assert found["vectors"][:, layer].flags.c_contiguous  # a layer is read from one place of the file
    assert list(tmp_path.iterdir()) == []  # nobody has to clear away after a kill


def test_a_disk_without_room_is_found_out_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(columns, "HELD", 100)
    monkeypatch.setattr(columns.os, "posix_fallocate", full)
    with pytest.raises(
        StorageError, match=r"has no room for .* GiB of vectors .*No space left.*ISTHMUS_STORE"
    ):
        filled(tmp_path)


def test_outputs_of_two_types_are_a_mistake() -> None:
    found = Columns(2)
    found.put(np.array([0]), {"a": np.zeros(1, np.float32)})
    with pytest.raises(TypeError, match="a is float64 here and float32 elsewhere"):
        found.put(np.array([1]), {"a": np.zeros(1, np.float64)})


def test_a_system_that_cannot_take_room_asks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As macOS, where files have no posix_fallocate."""
    plain = filled(None)["vectors"]
    monkeypatch.setattr(columns, "HELD", 100)
    monkeypatch.delattr(columns.os, "posix_fallocate")
    np.testing.assert_array_equal(filled(tmp_path)["vectors"], plain)
    monkeypatch.setattr(columns.shutil, "disk_usage", lambda folder: SimpleNamespace(free=335))
    with pytest.raises(
        StorageError, match=r"has no room for .* GiB of vectors .*No space left.*ISTHMUS_STORE"
    ):
        filled(tmp_path)
    monkeypatch.setattr(columns.shutil, "disk_usage", lambda folder: SimpleNamespace(free=336))
    filled(tmp_path)
