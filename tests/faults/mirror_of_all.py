"""A small mirror with every family in it, made by hand, and the study that reads it: good as it is, to be spoilt."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.check.vocabulary import stand_in
from isthmus.data.batch import specials
from isthmus.model import encoder as encoders

ROWS = 12
LANGUAGES = [
    "ar",
    "bg",
    "de",
    "el",
    "en",
    "es",
    "fr",
    "hi",
    "ja",
    "ko",
    "ru",
    "sw",
    "th",
    "tr",
    "ur",
    "vi",
    "zh",
]
XNLI = ["ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
PAWSX = ["de", "en", "es", "fr", "ja", "ko", "zh"]
PANX = [code for code in LANGUAGES if code != "sw"]
XQUAD = ["ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"]
XCOPA = ["sw", "th", "tr", "vi", "zh"]
TATOEBA = {"de": "deu", "fr": "fra", "el": "ell"}
BUCC = ["de", "fr", "ru", "zh"]
ENCODERS = ["whole", "bare", "plain", "short", "torn", "wide", "pickled"]

STUDY = """\
study: all
question: Is anything wrong?
hub: {hub}
encoders: {{{encoders}}}
arms:
  none: []
  hellaswag: hellaswag
  commonsense_qa: commonsense_qa
  cosmos_qa: cosmos_qa
  qqp: qqp
targets: [xnli, pawsx, panx, xquad, xcopa, tatoeba, bucc]
languages: [{languages}]
recipe:
  all: {{max_length: 64}}
"""
WORDS = [
    "the",
    "grey",
    "heron",
    "stood",
    "in",
    "cold",
    "water",
    "and",
    "watched",
    "two",
    "small",
    "silver",
    "fish",
    "below",
    "a",
    "broken",
    "wooden",
    "boat",
]


def study(hub: Path) -> str:
    names = ", ".join(f"{name}: {{from: me/{name}}}" for name in ENCODERS)
    return STUDY.format(hub=hub, encoders=names, languages=", ".join(LANGUAGES))


def path(root: Path, hub_id: str, config: str, split: str) -> Path:
    return root / hub_id / config / f"{split}-00000-of-00001.parquet"


def write(root: Path, hub_id: str, config: str, split: str, table: pa.Table) -> None:
    place = path(root, hub_id, config, split)
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, place)


def with_names(table: pa.Table, column: str, names: Sequence[str], listed: bool = False) -> pa.Table:
    """The table with the names of a column's labels, as the `datasets` library stores them."""
    feature: Any = {"names": list(names), "_type": "ClassLabel"}
    feature = {"feature": feature, "_type": "List"} if listed else feature
    info = {"info": {"features": {column: feature}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(info)})


def text(number: int, code: str = "") -> str:
    return " ".join(WORDS[(number * 5 + place * 3) % len(WORDS)] + code for place in range(6))


def pairs(code: str, first: str, second: str, labels: int, named: str = "") -> pa.Table:
    columns: dict[str, Any] = {named: [str(n) for n in range(1, ROWS + 1)]} if named else {}
    columns |= {first: [text(n, code) for n in range(ROWS)], second: [text(n + 1, code) for n in range(ROWS)]}
    return pa.table({**columns, "label": pa.array([n % labels for n in range(ROWS)], pa.int64())})


def tagged(code: str) -> pa.Table:
    tags = [[0, 3, 4, 0, 1, 5] if n % 2 else [0, 0, 0, 1, 2, 0] for n in range(ROWS)]
    return pa.table({"tokens": [text(n, code).split() for n in range(ROWS)], "ner_tags": tags})


def questions(code: str) -> pa.Table:
    contexts = [text(n, code) for n in range(ROWS)]
    answers = [context.split()[2] for context in contexts]
    return pa.table(
        {
            "id": [f"q{n}" for n in range(ROWS)],
            "context": contexts,
            "question": [f"where is {answer}?" for answer in answers],
            "answers": [
                {"text": [answer], "answer_start": [context.index(answer)]}
                for context, answer in zip(contexts, answers, strict=True)
            ],
        }
    )


def copa(code: str) -> pa.Table:
    return pa.table(
        {
            "idx": list(range(ROWS)),
            "premise": [text(n, code) for n in range(ROWS)],
            "question": ["cause" if n % 2 else "effect" for n in range(ROWS)],
            "choice1": [text(n + 1, code) for n in range(ROWS)],
            "choice2": [text(n + 2, code) for n in range(ROWS)],
            "label": pa.array([n % 2 for n in range(ROWS)], pa.int64()),
        }
    )


def hellaswag() -> pa.Table:
    return pa.table(
        {
            "ctx_a": [text(n) for n in range(ROWS)],
            "ctx_b": [WORDS[n] for n in range(ROWS)],
            "endings": [[text(n + k) for k in range(4)] for n in range(ROWS)],
            "label": [str(n % 4) for n in range(ROWS)],
        }
    )


def commonsense() -> pa.Table:
    return pa.table(
        {
            "id": [f"c{n}" for n in range(ROWS)],
            "question": [text(n) for n in range(ROWS)],
            "choices": [{"label": list("ABCDE"), "text": WORDS[n : n + 5]} for n in range(ROWS)],
            "answerKey": ["ABCDE"[n % 5] for n in range(ROWS)],
        }
    )


def cosmos() -> pa.Table:
    columns: dict[str, Any] = {"id": [f"k{n}" for n in range(ROWS)]}
    columns |= {"context": [text(n) for n in range(ROWS)], "question": ["why so?"] * ROWS}
    columns |= {f"answer{k}": [text(n + k) for n in range(ROWS)] for k in range(4)}
    return pa.table({**columns, "label": pa.array([n % 4 for n in range(ROWS)], pa.int64())})


def aligned(code: str) -> pa.Table:
    return pa.table(
        {
            "source_sentence": [f"{text(n, code)} {n}" for n in range(ROWS)],
            "target_sentence": [f"{text(n)} {n}" for n in range(ROWS)],
        }
    )


def pool(code: str, mark: str) -> pa.Table:
    ids = [f"{mark}-{n}" for n in range(ROWS)]
    return pa.table({"id": ids, "sentence": [f"{text(n, code)} {n}" for n in range(ROWS)]})


def gold(code: str) -> pa.Table:
    return pa.table({"id1": [f"{code}-{n}" for n in range(6)], "id2": [f"en-{n}" for n in range(6)]})


def write_mirror(root: Path) -> None:
    """Every dataset and encoder of the study, nothing wrong with any of it."""
    for split in ("train", "validation_matched"):
        table = pairs("", "premise", "hypothesis", 3)
        # Another order of the labels than the task's: the file's own names tell which is which.
        write(root, "nyu-mll/glue", "mnli", split, with_names(table, "label", NLI_BACKWARDS))
    for split in ("train", "validation"):
        write(root, "nyu-mll/glue", "qqp", split, pairs("", "question1", "question2", 2))
        write(root, "Rowan/hellaswag", "default", split, hellaswag())
        write(root, "tau/commonsense_qa", "default", split, commonsense())
        write(root, "allenai/cosmos_qa", "default", split, cosmos())
        write(root, "rajpurkar/squad", "plain_text", split, questions(""))
        write(root, "aps/super_glue", "copa", split, copa(""))
    for split in ("validation", "test"):
        for code in XNLI:
            write(root, "facebook/xnli", code, split, pairs(code, "premise", "hypothesis", 3))
        for code in XCOPA:
            write(root, "cambridgeltl/xcopa", code, split, copa(code))
    for split in ("train", "validation", "test"):
        for code in PAWSX:
            write(
                root,
                "google-research-datasets/paws-x",
                code,
                split,
                pairs(code, "sentence1", "sentence2", 2, "id"),
            )
        for code in LANGUAGES:
            write(root, "google/xtreme", f"PAN-X.{code}", split, tagged(code))
    for code in XQUAD:
        write(root, "google/xquad", f"xquad.{code}", "validation", questions(code))
    for name in TATOEBA_CODES:
        write(root, "google/xtreme", f"tatoeba.{name}", "validation", aligned(name))
    for code in BUCC:
        for split in ("sample", "training"):
            for side, table in ((code, pool(code, code)), ("en", pool("", "en")), ("gold", gold(code))):
                write(root, "comparable.limsi.fr/bucc2018", f"{code}-en.{side}", split, table)
    write_encoders(root)


NLI_BACKWARDS = ["contradiction", "neutral", "entailment"]
TATOEBA_CODES = (
    *("ara", "bul", "deu", "ell", "spa", "fra", "hin", "jpn"),
    *("kor", "rus", "swh", "tha", "tur", "urd", "vie", "cmn"),
)


def write_encoders(root: Path) -> None:
    """The same small encoder under every name."""
    first = root / "me" / ENCODERS[0]
    first.mkdir(parents=True)
    stand_in([pa.table({"text": [text(n) for n in range(40)]})], first)
    shape = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 32, "positions": 64, "dropout": 0.1}
    encoders.create(shape, specials(first), 1).save_pretrained(first)
    for name in ENCODERS[1:]:
        shutil.copytree(first, first.with_name(name))
