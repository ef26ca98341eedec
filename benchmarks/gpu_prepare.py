"""A world for the checks on a GPU, of a mirror's texts: made where isthmus is whole, carried to where the GPU is."""

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import data
from benchmarks.gpu_world import TEXT_LANGUAGES
from benchmarks.scale import QUICK
from isthmus.tasks.files import catalogue

# The largest tensor of a small encoder has to fit a shard of 16 MiB, in bf16: 20,000 rows of 384 do.
VOCABULARY = 20_000
LINES_PER_LANGUAGE = 4_000
SCRAPS = ("data",)


def world(folder: Path, mirror: Path) -> None:
    """Make both corners of a world."""
    with tempfile.TemporaryDirectory() as name:
        told = {**QUICK.json(), "mirror": str(mirror), "folder": name}
        data.prepare(told)
        for part in ("tokenizer", "tokens/mnli", "tokens/squad"):
            shutil.copytree(Path(name, part), folder / "timing" / part)
    small = folder / "small"
    texts = {language: text(mirror, language) for language in TEXT_LANGUAGES}
    rows = data.learn(texts, VOCABULARY, LINES_PER_LANGUAGE, small / "tokenizer")
    for language, lines in texts.items():
        place = small / "data" / "text" / language
        place.mkdir(parents=True)
        pq.write_table(
            pa.table({"id": [str(i) for i in range(len(lines))], "text": lines}), place / "train.parquet"
        )
        data.tokenized("text", "mlm", language, small)
    data.fetched(catalogue()["mnli"], "en", small, mirror)
    data.tokenized("mnli", "classify", "en", small)
    for scrap in SCRAPS:
        shutil.rmtree(small / scrap)
    print(f"{folder}: {rows} pieces, {sum(map(len, texts.values())):,} texts in {len(texts)} languages")


def text(mirror: Path, language: str) -> list[str]:
    """The mirror's text without labels in a language."""
    path = next((mirror / "mirror-extra" / "mlm-text" / language).glob("train-*.parquet"))
    return [line for line in pq.ParquetFile(path).read(columns=["text"]).column("text").to_pylist() if line]
