"""Receipts are deterministic, small, and clear about what is wrong with them."""

import pytest

from isthmus import receipt
from isthmus.errors import DataError
from isthmus.receipt import MOST_BYTES, Outcome

OUTCOMES = {f"{number:016x}": Outcome("score", f"{number:032x}", "c" * 32, "ok") for number in range(3)}
SPECS = {key: {"target": "xnli", "language": "sw"} for key in OUTCOMES}


def test_what_is_written_is_read(tmp_path):
    receipt.write(tmp_path / "deep" / "r.json", "k" * 16, SPECS, OUTCOMES)
    assert receipt.read(tmp_path / "deep" / "r.json") == OUTCOMES


def test_equal_work_gives_equal_bytes(tmp_path):
    receipt.write(tmp_path / "a.json", "k", SPECS, OUTCOMES)
    receipt.write(tmp_path / "b.json", "k", dict(reversed(SPECS.items())), dict(reversed(OUTCOMES.items())))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_it_stays_small_whatever_the_specs(tmp_path):
    specs = {key: {"cells": ["x" * 1000] * 100} for key in OUTCOMES}
    receipt.write(tmp_path / "r.json", "k", specs, OUTCOMES)
    assert (tmp_path / "r.json").stat().st_size <= MOST_BYTES
    assert receipt.read(tmp_path / "r.json") == OUTCOMES


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"units": {"k": {}}}', '{"units": 3}', "null"])
def test_a_damaged_receipt_says_what_to_do(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match=r"r\.json.*Remove it and run again"):
        receipt.read(tmp_path / "r.json")


def test_its_time_is_the_artifacts(tmp_path):
    receipt.write(tmp_path / "r.json", "k", SPECS, OUTCOMES)
    receipt.stamp(tmp_path / "r.json", 1234.5)
    assert (tmp_path / "r.json").stat().st_mtime == 1234.5
