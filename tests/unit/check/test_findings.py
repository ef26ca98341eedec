"""Findings: one line each, and an error of one part hinders no other."""

import pytest

from isthmus.check.findings import Findings
from isthmus.errors import (
    DataError,
    EnvironmentMismatch,
    HubError,
    Interrupted,
    OutOfMemory,
    StorageError,
    UsageError,
)


def test_an_error_becomes_a_problem_of_one_line():
    findings = Findings()
    with findings.caught("here"):
        raise DataError("two\n  lines")
    with findings.caught("there"):
        raise KeyError("label")
    first, second = findings.problems
    assert first == "here: two lines"
    assert second.startswith("there: KeyError: 'label'. That may be a bug of isthmus")


@pytest.mark.parametrize("kind", [HubError, UsageError])
def test_what_the_user_can_mend_is_a_problem(kind):
    findings = Findings()
    with findings.caught("here"):
        raise kind("wrong")
    assert findings.problems == ["here: wrong"]


@pytest.mark.parametrize(
    "kind",
    [MemoryError, KeyboardInterrupt, OSError, StorageError, OutOfMemory, EnvironmentMismatch, Interrupted],
)
def test_what_the_machine_lacks_is_nobodys_data(kind):
    with pytest.raises(kind), Findings().caught("here"):
        raise kind
