"""Arms: the named ways to treat an encoder before the target. A grid expands to one arm per combination."""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from isthmus.recipe import FROZEN
from isthmus.study.format import StepEntry, StudyFile, grid_of, names_of, steps_of
from isthmus.study.problems import Problems, did_you_mean, name_problem, shown
from isthmus.study.recipes import RecipeOptions
from isthmus.study.yamlfile import Where

BASELINE = "none"
MAX_COMBINATIONS = 1000
DEFAULT_CAP = 2**17
"""As how many examples a task counts at most when a mixture's rates are set (Phang et al. 2020, sec. 3.1)."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Link:
    """One training run of an arm: its tasks (several = a mixture with `cap`) and the options of its own."""

    tasks: tuple[str, ...]
    cap: int | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """One arm: its runs in order (none for the baseline) and the value of each factor of its grid, if any.

    `key` is the name as the study file has it, before a grid was expanded.
    """

    name: str
    links: tuple[Link, ...]
    factors: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


def expand_arms(study: StudyFile, problems: Problems) -> dict[str, Arm]:
    """Every arm by name; what cannot be expanded is noted and left out."""
    arms: dict[str, Arm] = {}
    for key, entry in study.arms.items():
        for arm in _expand(key, entry, problems):
            other = arms.get(arm.name)
            text = name_problem(arm.name)
            if text is not None:
                problems.add(("arms", key), text)
            elif other is not None:
                problems.add(
                    ("arms", key),
                    f'expands to "{arm.name}", which {_whose(key, other)} has already: rename one.',
                )
            else:
                arms[arm.name] = arm
    return arms


def _whose(key: str, other: Arm) -> str:
    return "another of its combinations" if other.key == key else f"the arm {shown(other.key)}"


def _expand(key: str, entry: Any, problems: Problems) -> Iterator[Arm]:
    grid = _grid(key, entry, problems)
    if grid is None:
        return
    steps = steps_of(entry)
    for values in itertools.product(*grid.values()):
        factors = dict(zip(grid, values, strict=True))
        yield Arm(_filled(key, factors), tuple(_link(step, factors) for step in steps), factors, key)


def _filled(key: str, factors: Mapping[str, Any]) -> str:
    return _PLACEHOLDER.sub(lambda match: spell(factors[match.group(1)]), key)


def _link(step: StepEntry, factors: Mapping[str, Any]) -> Link:
    own = step.recipe.given() if step.recipe is not None else {}
    cap = (step.cap or DEFAULT_CAP) if step.mix is not None else None
    return Link(tuple(names_of(step)), cap, {**own, **factors})


def _grid(key: str, entry: Any, problems: Problems) -> dict[str, list[Any]] | None:
    """The grid with its values as numbers, or None where it cannot be expanded."""
    raw = grid_of(entry)
    sound = True
    for name in sorted(set(_PLACEHOLDER.findall(key)) - set(raw)):
        problems.add(
            ("arms", key), f"{{{name}}} stands in the name, but the arm's grid has no {shown(name)}."
        )
        sound = False
    grid: dict[str, list[Any]] = {}
    for factor, values in raw.items():
        where: Where = ("arms", key, "grid", factor)
        if factor not in FROZEN:
            text = did_you_mean(factor, FROZEN)
            problems.add(where, f"{shown(factor)} is not a training option.{text}")
            sound = False
            continue
        if f"{{{factor}}}" not in key:
            better = f"{key}-{{{factor}}}"
            problems.add(where, f"{{{factor}}} must stand in the arm's name, as in {shown(better)}.")
            sound = False
        grid[factor] = list(_values(where, factor, values, problems))
        repeated = problems.add_duplicates(where, grid[factor])
        sound = sound and not repeated and len(grid[factor]) == len(values)
    count = 1
    for values in grid.values():
        count *= len(values)
    if count > MAX_COMBINATIONS:
        problems.add(("arms", key, "grid"), f"has {count} combinations: at most {MAX_COMBINATIONS}.")
        sound = False
    return grid if sound else None


def _values(where: Where, factor: str, values: list[Any], problems: Problems) -> Iterator[Any]:
    for position, value in enumerate(values):
        try:
            yield RecipeOptions.model_validate({factor: value}).given()[factor]
        except ValidationError as error:
            problems.add_value_error(error, (*where, position))


def spell(value: Any) -> str:
    """A grid value as part of a name: `10000`, `2e-5`, `0.1`."""
    if isinstance(value, float):
        text = format(value, ".10g")
        return re.sub(r"e([-+])0*", lambda match: "e" + match.group(1).replace("+", ""), text)
    return "null" if value is None else str(value)
