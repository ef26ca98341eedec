"""What the hub lists of a repository, as the files that a spec reads."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from isthmus.errors import HubError
from isthmus.hubs import layout, wanted
from isthmus.hubs.checked import Entry
from isthmus.hubs.pinned import Item, Pinned, Repository, encoder_patterns, matches
from isthmus.hubs.remote import Remote
from isthmus.hubs.transfer import Absent


class Listing:
    """Listings and cards, each asked for once; `part` says where a card may lie on its way."""

    def __init__(self, remote: Remote, part: Callable[[Repository, Item], Path]) -> None:
        self._remote = remote
        self._part = part
        self._trees: dict[tuple[Repository, str], dict[str, Entry]] = {}
        self._cards: dict[tuple[Repository, str], layout.Card] = {}

    def items(self, repository: Repository, known: Pinned, spec: Mapping[str, Any]) -> list[Item]:
        """The files that a spec reads, at the commit that is known already and of the same parquet copy.

        Raises:
            HubError: it does not have them, or does not answer.
        """
        revision, tree = known.revision, self._tree(repository, known.revision)
        if "splits" not in spec:
            return self._encoder_items(repository, revision, tree, encoder_patterns(spec))
        names = wanted(spec["source"], spec["splits"].values())
        return [item for place in names for item in self._split_items(repository, known, tree, *place)]

    def _encoder_items(
        self, repository: Repository, revision: str, tree: Mapping[str, Entry], patterns: Iterable[str]
    ) -> list[Item]:
        if "config.json" not in tree:
            raise HubError(
                f"{repository} has no config.json at {revision}: it is no encoder that transformers reads. Name another."
            )
        names = [name for name in sorted(tree) if matches(name, patterns)]
        return [_item(name, name, revision, tree[name]) for name in names]

    def _split_items(
        self, repository: Repository, known: Pinned, tree: Mapping[str, Entry], config: str, split: str
    ) -> list[Item]:
        revision = known.revision
        card = self._card(repository, revision, tree)
        found = layout.split_files(tree, card, config, split)
        if not found and (not card or config in card):
            copy = self._converted(repository, known.copy)
            if copy is not None:
                revision, tree = copy
                found = layout.converted_files(tree, config, split, str(repository))
        if not found:
            configs = ", ".join(layout.offered(tree, card)[:40]) or "none"
            raise Absent(
                f"{repository} has no parquet files of config {config}, split {split}, neither at {revision} nor on "
                f"{layout.CONVERTED}. Its configs: {configs}. Correct the task's YAML, or leave the task or language "
                "out; if the task has other sources, `isthmus fetch STUDY` finds the one to read."
            )
        locals_ = layout.local_names(config, split, len(found))
        return [_item(local, name, revision, tree[name]) for local, name in zip(locals_, found, strict=True)]

    def _converted(self, repository: Repository, revision: str | None) -> tuple[str, dict[str, Entry]] | None:
        """The commit and the files of the branch with parquet copies, where the hub has made them."""
        try:
            revision = revision or self._remote.revision(repository, layout.CONVERTED)
        except Absent:
            return None
        return revision, self._tree(repository, revision)

    def _card(self, repository: Repository, revision: str, tree: Mapping[str, Entry]) -> layout.Card:
        entry = tree.get(layout.CARD)
        if entry is None or entry.size is None or entry.size > layout.MAX_CARD:
            return {}
        if (repository, revision) not in self._cards:
            part = self._part(repository, _item(layout.CARD, layout.CARD, revision, entry))
            self._remote.download(repository, revision, layout.CARD, entry, part)
            text = part.read_text(encoding="utf-8", errors="replace")
            self._cards[repository, revision] = layout.read_card(text, str(repository))
        return self._cards[repository, revision]

    def _tree(self, repository: Repository, revision: str) -> dict[str, Entry]:
        if (repository, revision) not in self._trees:
            self._trees[repository, revision] = self._remote.tree(repository, revision)
        return self._trees[repository, revision]


def _item(local: str, remote: str, revision: str, entry: Entry) -> Item:
    assert entry.size is not None  # the hub lists it
    return Item(local, remote, revision, entry.size, entry.sha256, entry.blob)
