"""Problems of a user's file, all at once, one line each: file, line, place, what is wrong, how to mend it."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from isthmus.study.yamlfile import Document, Flaw, Where

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")
"""What a study, encoder, arm or task may be called: names become paths and job names."""

MAX_LINES = 100
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.{}-]{1,80}\Z")


def shown(value: Any, written: str | None = None) -> str:
    """A value in a sentence: short, on one line, and without characters that a terminal would act on."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, str):
        return printable(json.dumps(_short(value), ensure_ascii=False))
    return f"the number {_short(written or str(value))}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def printable(text: str) -> str:
    """The text with every character escaped that does not print or would break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def did_you_mean(word: Any, known: Iterable[str], listed_as: str = "Known") -> str:
    """A closing sentence that proposes the most similar known word, or lists what is known.

    A `word` of None only lists.
    """
    words = sorted(set(known))
    if isinstance(word, str):
        folded = {candidate.casefold(): candidate for candidate in words}
        close = difflib.get_close_matches(word[:64].casefold(), list(folded), n=1, cutoff=0.6)
        if close:
            return f' Did you mean "{folded[close[0]]}"?'
    if not words:
        return ""
    listed = ", ".join(words[:24]) + (", ..." if len(words) > 24 else "")
    return f" {listed_as}: {listed}."


def name_problem(name: str) -> str | None:
    """What hinders a text from being a name, as a sentence, or None."""
    if NAME.match(name):
        return None
    rule = 'use a-z, 0-9, "_", "." and "-", a letter or digit first, at most 64 characters.'
    strange = next((c for c in name if not c.isascii()), None)
    if strange is not None:
        return f"{shown(name)} holds the character U+{ord(strange):04X}, which no name may hold: {rule}"
    return f"{shown(name)} cannot be a name: {rule}"


def place(where: Where) -> str:
    """A place as people write it: `arms.mnli[0].mix`."""
    parts: list[str] = []
    for part in where:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            key = part if _PLAIN_KEY.match(part) else shown(part)
            parts.append(f".{key}" if parts else key)
    return "".join(parts)


class Problems:
    """Collects the problems of one document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._found: list[tuple[int, int, str]] = []
        self._flawed: set[Where] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, where: Where, text: str) -> None:
        """Note a problem of the value at a place."""
        self._note(self.document.line(where), where, text)

    def add_flaw(self, flaw: Flaw) -> None:
        """Note what the loader found."""
        self._note(flaw.line, flaw.where, flaw.text)
        self._flawed.add(flaw.where)

    def add_duplicates(self, where: Where, values: Sequence[Any]) -> bool:
        """Note every value of a list that stood in it before; tells whether there was one."""
        repeated = [position for position, value in enumerate(values) if value in values[:position]]
        for position in repeated:
            self.add((*where, position), f"{shown(values[position])} stands twice in this list: keep one.")
        return bool(repeated)

    def _note(self, line: int, where: Where, text: str) -> None:
        prefix = f"{place(where)}: " if where else ""
        problem = (line, len(self._found), f"{self.document.path}:{line}: {prefix}{printable(text)}")
        if all(problem[2] != other[2] for other in self._found):
            self._found.append(problem)

    def lines(self) -> list[str]:
        """One line each, in the order of the file."""
        return [text for _, _, text in sorted(self._found)]

    def add_validation(self, error: ValidationError, model: type[BaseModel]) -> list[Where]:
        """Note every error that pydantic found when it read the document as a model; returns the places."""
        places = []
        for detail in error.errors(include_url=False):
            where = self._where(detail)
            known = keys_at(model, where[:-1]) if detail["type"] == "extra_forbidden" else set()
            if where not in self._flawed:
                self.add(where, _sentence(detail, self.document.written.get(where), where, known))
            places.append(where)
        return places

    def add_value_error(self, error: ValidationError, where: Where) -> None:
        """Note what pydantic found wrong with the one value at a place."""
        for detail in error.errors(include_url=False):
            self.add(where, _sentence(detail, self.document.written.get(where), where, set()))

    def _where(self, detail: ErrorDetails) -> Where:
        """Pydantic's place without the tags of unions, which the file does not hold."""
        node = self.document.value
        where: list[str | int] = []
        parts = [part for part in detail["loc"] if part != "[key]"]
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            inside = isinstance(node, dict) and part in node
            inside = inside or (isinstance(node, list) and isinstance(part, int) and part < len(node))
            if inside:
                node = node[part]
                where.append(part)
            elif last and detail["type"] == "missing":
                where.append(part)
        return tuple(where)


def keys_at(annotation: Any, where: Where) -> set[str]:
    """The keys that the models of a type accept at a place below it."""
    if get_origin(annotation) is Annotated:
        return keys_at(get_args(annotation)[0], where)
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*(keys_at(member, where) for member in get_args(annotation)))
    if get_origin(annotation) in (dict, list, tuple):
        return (
            keys_at(get_args(annotation)[1 if get_origin(annotation) is dict else 0], where[1:])
            if where
            else set()
        )
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return set()
    options = {option.alias or name: option.annotation for name, option in annotation.model_fields.items()}
    if not where:
        return set(options)
    return keys_at(options.get(str(where[0])), where[1:])


_KIND = {
    "int_type": "needs a whole number",
    "int_parsing": "needs a whole number",
    "int_from_float": "needs a whole number",
    "int_parsing_size": "needs a smaller whole number",
    "float_type": "needs a number",
    "float_parsing": "needs a number",
    "finite_number": "needs a finite number",
    "string_type": "needs text",
    "bool_type": "needs true or false",
    "bool_parsing": "needs true or false",
    "list_type": "needs a list such as [a, b]",
    "tuple_type": "needs a list such as [a, b]",
    "dict_type": "needs keys with values",
    "model_type": "needs keys with values",
    "model_attributes_type": "needs keys with values",
}
_BOUND = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _sentence(detail: ErrorDetails, written: str | None, where: Where, known: set[str]) -> str:
    """What pydantic found, in the words of a person who edits the file."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "is missing: this key must be given."
    if kind == "extra_forbidden":
        return f"there is no option {shown(where[-1])} here.{did_you_mean(where[-1], known)}"
    if kind in _BOUND:
        word, key = _BOUND[kind]
        return f"must be {word} {context[key]:g}, found {shown(value, written).removeprefix('the number ')}."
    if kind == "literal_error":
        return f"must be {context['expected']}, found {shown(value, written)}."
    if kind in ("too_short", "string_too_short"):
        return "is empty: give at least one." if kind == "too_short" else "is empty: write some text."
    if kind in ("too_long", "string_too_long"):
        return f"is too long: at most {context['max_length']}."
    if kind in _KIND:
        quote = kind == "string_type" and isinstance(value, bool | int | float)
        hint = " (put it in quotes if the text is meant)" if quote else ""
        return f"{_KIND[kind]}, found {shown(value, written)}{hint}."
    return f"{detail['msg']}, found {shown(value, written)}."


def relative(path: Path) -> Path:
    """The path as a person in this folder would write it."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except ValueError:
        return path


def prune(value: Any, places: Iterable[Where]) -> Any:
    """A copy of nested mappings without the given places (deeper places fall with the ones above them)."""
    gone = {where for where in places if where}
    heads = {where[0] for where in gone if len(where) == 1}
    if not isinstance(value, Mapping):
        return value
    return {
        key: prune(child, {where[1:] for where in gone if len(where) > 1 and where[0] == key})
        for key, child in value.items()
        if key not in heads
    }
