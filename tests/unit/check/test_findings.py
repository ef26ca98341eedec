"""Findings: one line each, and an error of one part hinders no other."""

import pytest

from isthmus.check.findings import Findings
from isthmus.errors import DataError


def test_an_error_becomes_a_problem_of_one_line():
    findings = Findings()
    with findings.caught("here"):
        raise DataError("two\n  lines")
    with findings.caught("there"):
        raise KeyError("label")
    first, second = findings.problems
    assert first == "here: two lines"
    assert second.startswith("there: KeyError: 'label'. The data have a form")


def test_memory_and_interrupts_are_nobodys_data():
    with pytest.raises(MemoryError), Findings().caught("here"):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), Findings().caught("here"):
        raise KeyboardInterrupt
