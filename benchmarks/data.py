"""The texts of the measurements, by isthmus's own stages: fetched from a mirror, tokenized, with a model to start from.

XLM-R's tokenizer is not in the mirror. One is learned here, of eight languages' text, so large that an MNLI pair has
about as many pieces as with XLM-R's (40 on average, measured on the same rows).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.units import unit
from isthmus.data import fetch, tokenize, tokenizer
from isthmus.data.batch import specials
from isthmus.tasks.files import catalogue
from isthmus.tasks.task import Task
from isthmus.units import fetch_spec, training_task

LANGUAGES = ("de", "en", "es", "fr", "hi", "ru", "sw", "zh")
TRAINED_ON = ("mnli", "udpos", "squad")
VOCABULARY, LINES_PER_LANGUAGE, COVERAGE = 110_000, 40_000, 0.9995
ROWS_TOGETHER = "examples of both published splits that the mirror has: training and matched development"


def prepare(job: Mapping[str, Any]) -> dict[str, Any]:
    """Make `data`, `tokenizer`, `tokens` and `parent` in the job's `folder`; give paths, forms of tasks and sizes."""
    from benchmarks.predict_ours import heads
    from isthmus.model.device import settle

    folder, mirror = Path(job["folder"]), Path(job["mirror"])
    tasks = catalogue()
    wanted = [*((task, "en") for task in TRAINED_ON), *(("xnli", language) for language in LANGUAGES)]
    for name, language in wanted:
        fetched(tasks[name], language, folder, mirror)
    together(folder / "data" / "mnli" / "en")
    first_rows(folder / "data" / "xnli", job["predicted_per_language"])
    texts = {language: xnli(mirror, language) for language in LANGUAGES}
    rows = learn(texts, VOCABULARY, LINES_PER_LANGUAGE, folder / "tokenizer")
    for name, language in wanted:
        tokenized(name, tasks[name].family, language, folder)
    settle(job["threads"])
    parameters = parent(folder, job["architecture"], job["embedding_rows"])
    forms = {name: training_task(tasks[name], ["en"]) for name in TRAINED_ON}
    place = {"tokens": str(folder / "tokens"), "parent": str(folder / "parent")}
    heads({**place, "form": forms["mnli"], "recipe": {}, "seed": 1}, folder / "parent")
    return {
        **place,
        "forms": forms,
        "languages": LANGUAGES,
        "about": {
            "tokenizer": f"Unigram of {rows:,} pieces, learned of the mirror's MNLI (English) and XNLI "
            f"({', '.join(LANGUAGES)}); XLM-R's own gives MNLI pairs 40 tokens on average",
            "mnli": f"{pq.read_metadata(folder / 'tokens/mnli/en/train.parquet').num_rows:,} {ROWS_TOGETHER}",
            "parameters": parameters,
            "weights": "random weights",
        },
    }


def together(folder: Path) -> None:
    """One training split of two, so that as many rows of the embedding occur as the mirror's texts have."""
    tables = [pq.read_table(folder / f"{split}.parquet") for split in ("train", "dev")]
    for number, table in enumerate(tables):
        ids = pa.array([f"{number}-{i}" for i in table.column("id").to_pylist()])
        tables[number] = table.set_column(table.column_names.index("id"), "id", ids)
    pq.write_table(pa.concat_tables(tables), folder / "train.parquet")
    (folder / "dev.parquet").unlink()


def first_rows(folder: Path, most: int) -> None:
    """Keep of each language's test split the rows to be predicted; all of the development split, to learn from."""
    for path in folder.glob("*/test.parquet"):
        pq.write_table(pq.read_table(path).slice(0, most), path)


def fetched(task: Task, language: str, folder: Path, mirror: Path) -> None:
    """A task's rows in `data/<task>/<language>`, by the fetch stage."""
    source = task.sources[0]
    spec = fetch_spec(task, language, source, task.request(source, language), "hub")
    place = folder / "data" / task.name / language
    work, _ = unit(place, spec, {"hub": mirror}, f"{task.name}/{language}")
    fetch.run([work])
    work.state.rmdir()


def tokenized(name: str, family: str, language: str, folder: Path) -> None:
    """The tokens of `data/<task>/<language>` in `tokens/<task>/<language>`, by the tokenize stage."""
    spec = {"task": name, "family": family, "language": language}
    inputs = {"tokenizer": folder / "tokenizer", "data": folder / "data" / name / language}
    work, _ = unit(folder / "tokens" / name / language, spec, inputs, f"{name}/{language}")
    tokenize.run([work])
    work.state.rmdir()


def xnli(mirror: Path, language: str) -> list[str]:
    """All texts of XNLI in a language; in English the mirror has MNLI's training texts there, too."""
    found: list[str] = []
    for path in sorted((mirror / "facebook" / "xnli" / language).glob("*.parquet")):
        table = pq.ParquetFile(path).read(columns=["premise", "hypothesis"])
        found += [text for column in table.columns for text in column.to_pylist()]
    return found


def learn(texts: Mapping[str, Sequence[str]], vocabulary: int, lines: int, place: Path) -> int:
    """A tokenizer of at most so many lines of each language, by the functions of its stage; gives its rows."""
    place.mkdir(parents=True, exist_ok=True)
    sentences = list(tokenizer.sample(texts, lines, 1))
    return tokenizer.write(tokenizer.learn(sentences, vocabulary, COVERAGE, 1), place)


def parent(folder: Path, architecture: Mapping[str, Any], rows: int) -> int:
    """A model folder of random weights with `rows` rows in its embedding; gives the number of parameters."""
    from isthmus.model import encoder as encoders

    special = specials(folder / "tokenizer")
    made = encoders.create(architecture, dataclasses.replace(special, rows=max(rows, special.rows)), 1)
    place = folder / "parent"
    place.mkdir()
    encoders.save(made, folder / "tokenizer", place)
    return sum(p.numel() for p in made.parameters())
