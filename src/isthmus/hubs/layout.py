"""Which files of a dataset's repository hold a split: by the card at its top, else by the usual names.

A card (README.md) opens with YAML whose `configs` name the files of each split. Repositories without it keep parquet
files under names that tell (https://huggingface.co/docs/hub/datasets-file-names-and-splits). What is kept in another
format can be had from a branch with a parquet copy that the hub makes. Pure: names in, names out.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from isthmus.errors import HubError

CONVERTED = "refs/convert/parquet"
CARD = "README.md"
MAX_CARD = 4 * 2**20
Card = Mapping[str, Mapping[str, Sequence[str]]]
"""Config -> split -> patterns of files."""

_USUAL = (
    "{config}/{split}-[0-9]*-of-[0-9]*.parquet",
    "{config}/{split}.parquet",
    "{config}/{split}/*.parquet",
    "data/{config}/{split}-[0-9]*-of-[0-9]*.parquet",
)
_USUAL_OF_ONE = (
    "data/{split}-[0-9]*-of-[0-9]*.parquet",
    "{split}-[0-9]*-of-[0-9]*.parquet",
    "{split}.parquet",
)


def read_card(text: str, where: str) -> Card:
    """The configs that a card names; empty where it names none.

    Every scalar is taken as text, so that the Norwegian `no` is a language. Aliases, with which a small card can
    grow without bound, are refused.

    Raises:
        HubError: the card's YAML cannot be read.
    """
    match = re.match(r"\ufeff?---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    if match is None:
        return {}
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(match.group(1), Loader=loader)):
            raise HubError(
                f"{where}: its card has YAML aliases, which are not read. Ask its owner to write them out."
            )
        front = loader(match.group(1)).get_single_data()
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise HubError(f"{where}: the YAML of its card cannot be read ({problem}).") from error
    entries = front.get("configs") if isinstance(front, dict) else None
    found = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and "data_files" in entry:
            found[str(entry.get("config_name", "default"))] = _splits(entry)
    return found


def _splits(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    """The patterns of a config by split. Files without a split are its training data, as `datasets` has it."""
    folder = str(entry.get("data_dir") or "").strip("/")
    given = entry["data_files"]
    found: dict[str, list[str]] = {}
    for part in given if isinstance(given, list) else [given]:
        named = isinstance(part, dict)
        paths = part.get("path", []) if named else part
        for path in paths if isinstance(paths, list) else [paths]:
            name = "/".join(filter(None, (folder, str(path).removeprefix("./"))))
            found.setdefault(str(part.get("split", "train")) if named else "train", []).append(name)
    return found


def split_files(names: Collection[str], card: Card, config: str, split: str) -> list[str]:
    """The parquet files of a split in order; empty where it is kept otherwise or not at all."""
    if card:
        patterns: Iterable[str] = card.get(config, {}).get(split, ())
        return _matching(names, patterns)
    usual = [*_USUAL, *(_USUAL_OF_ONE if config == "default" else ())]
    for pattern in usual:
        found = _matching(names, [pattern.format(config=_literal(config), split=_literal(split))])
        if found:
            return found
    return []


def converted_files(names: Collection[str], config: str, split: str, where: str) -> list[str]:
    """The same on the branch with parquet copies.

    Raises:
        HubError: the hub copied only the beginning of it.
    """
    found = _matching(names, [f"{_literal(config)}/{_literal(split)}/*.parquet"])
    if not found and _matching(names, [f"{_literal(config)}/partial-{_literal(split)}/*.parquet"]):
        raise HubError(
            f"{where} is no parquet, and of config {config}, split {split} the hub's own copy ({CONVERTED}) holds only "
            "the beginning. Download it by hand into a mirror (hub: ./folder), or leave the task out."
        )
    return found


def offered(names: Collection[str], card: Card) -> list[str]:
    """What a person may take for configs: for messages."""
    if card:
        return sorted(card)
    return sorted({name.split("/")[0] for name in names if name.endswith(".parquet") and "/" in name})


def local_names(config: str, split: str, count: int) -> list[str]:
    """What a split's files are called in a mirror, below the dataset's folder."""
    return [f"{config}/{split}-{index:05d}-of-{count:05d}.parquet" for index in range(count)]


def _matching(names: Collection[str], patterns: Iterable[str]) -> list[str]:
    """The parquet files that match; none if a pattern brings other formats, which would be left out unsaid."""
    found: set[str] = set()
    for pattern in patterns:
        compiled = re.compile("".join(_regex(pattern)))
        found |= {name for name in names if compiled.fullmatch(name)}
    return sorted(found) if all(name.endswith(".parquet") for name in found) else []


def _literal(text: str) -> str:
    """A name as a pattern that means itself."""
    return re.sub(r"([*?\[])", r"[\1]", text)


def _regex(pattern: str) -> Iterator[str]:
    """A glob as a regular expression: `*` stays within a folder, `**` does not."""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", pattern):
        if token in ("**/", "**"):
            yield "(?:.*/)?" if token == "**/" else ".*"
        elif token in ("*", "?"):
            yield "[^/]*" if token == "*" else "[^/]"
        elif len(token) > 2 and token[0] == "[":
            yield (
                "["
                + token[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("!", "^", token[1] == "!")
                + "]"
            )
        else:
            yield re.escape(token)
