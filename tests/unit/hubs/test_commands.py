"""Fetching: one file that is wrong hinders no other, and what was found out is written down whatever comes."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from isthmus.errors import DataError, HubError, IsthmusError, StorageError
from isthmus.hubs import commands

STUDY = Path("study.yaml")


class Hub:
    """A hub that fails at some specs."""

    archives = SimpleNamespace(expect=lambda specs: None)
    cache = lock_path = Path("x")

    def __init__(self, failing: dict[str, IsthmusError]) -> None:
        self.failing = failing
        self.pinned: list[str] = []
        self.written: list[list[str]] = []

    def refuse_missing(self, specs) -> None: ...

    def note_absent(self, specs) -> None: ...

    def note_unsure(self, specs) -> None:
        list(specs)

    def supply(self, specs) -> None:
        for spec in specs:
            if spec["task"] in self.failing:
                raise self.failing[spec["task"]]

    def pin(self, spec) -> None:
        self.pinned.append(spec["task"])

    def write_lock(self) -> None:
        self.written.append(list(self.pinned))


@pytest.fixture
def fetching(monkeypatch):
    def run(**failing: IsthmusError) -> Hub:
        hub = Hub(failing)
        specs = [{"task": name, "language": "en", "splits": {}, "source": {}} for name in "abcd"]
        monkeypatch.setattr(commands, "_planned", lambda _: (SimpleNamespace(study=None, jobs=()), hub))
        monkeypatch.setattr(commands, "expand", lambda *_: ((), {}))
        monkeypatch.setattr(commands, "sources_of", lambda _: specs)
        return hub

    return run


@pytest.mark.parametrize(
    ("failing", "kind"),
    [
        ({"a": HubError("no a"), "c": HubError("no c")}, HubError),
        ({"a": DataError("no a"), "c": HubError("no c")}, DataError),
        ({"a": HubError("no a"), "c": DataError("no c")}, DataError),
    ],
)
def test_what_is_wrong_comes_at_the_end_and_the_rest_is_pinned(fetching, failing, kind):
    hub = fetching(**failing)
    with pytest.raises(kind) as caught:
        commands.fetch(STUDY)
    assert type(caught.value) is kind and str(caught.value) == "no a\nno c"
    assert hub.written == [["b", "d"]]


def test_a_full_disk_ends_it_at_once_and_leaves_what_was_pinned(fetching):
    hub = fetching(c=StorageError("full"))
    with pytest.raises(StorageError):
        commands.fetch(STUDY)
    assert hub.written == [["a", "b"]]
