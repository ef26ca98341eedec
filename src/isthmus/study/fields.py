"""What all models of study and task files share: a strict base, and numbers that may stand in quotes."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from isthmus.study import yamlfile


class Strict(BaseModel):
    """A part of a file: unknown keys are refused, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _written_number(value: Any) -> Any:
    """Accept a number in quotes (other readers take `2e-5` for text); refuse booleans and other text."""
    read = yamlfile.number(value.strip()) if isinstance(value, str) else value
    if isinstance(value, bool) or (isinstance(value, str) and read is None):
        raise PydanticCustomError("not_a_number", "needs a number")
    return read


Written = BeforeValidator(_written_number)
"""Stands last in the annotation of a number, so that bounds apply to the number that was read."""
