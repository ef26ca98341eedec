"""SQuAD's JSON: id, title, context, question, answers {text, answer_start}; with LAReQA's `sentence_breaks`
list<list<int32>> (start and end of each sentence of the context, in characters) where the file has them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from isthmus.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
BREAKS = "sentence_breaks"


def picks(name: str, config: str, split: str) -> bool:
    """The pattern of the members says all."""
    return True


def read(file: BinaryIO, name: str, names: Sequence[str]) -> "pa.Table":
    """A row for each question.

    Raises:
        DataError: it is not of this form.
    """
    import pyarrow as pa

    try:
        rows = list(_rows(json.load(file)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{name} is not JSON as SQuAD has it ({type(error).__name__}: {error}). Look at the source's address and format."
        ) from error
    fields = [
        *((column, pa.string()) for column in ("id", "title", "context", "question")),
        ("answers", pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])),
    ]
    if any(BREAKS in row for row in rows):
        fields.append((BREAKS, pa.list_(pa.list_(pa.int32()))))
    try:
        return pa.Table.from_pylist(rows, schema=pa.schema(fields))
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{name}: a field is not of SQuAD's type ({error}).") from error


def _rows(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            more = {BREAKS: paragraph[BREAKS]} if BREAKS in paragraph else {}
            for question in paragraph["qas"]:
                answers = question["answers"]
                yield {
                    "id": str(question["id"]),
                    "title": article.get("title", ""),
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": {
                        "text": [answer["text"] for answer in answers],
                        "answer_start": [answer["answer_start"] for answer in answers],
                    },
                    **more,
                }
