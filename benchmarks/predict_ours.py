"""Our side of the prediction measurement: the predict stage itself, all languages in one process."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from safetensors.torch import save_file
from transformers import AutoConfig

from benchmarks.batches import source_of
from benchmarks.steps import peak_rss_mb
from benchmarks.units import Commit, unit
from isthmus.evaluate import predict
from isthmus.work import Work


def predict_ours(job: Mapping[str, Any]) -> dict[str, Any]:
    """Predict every language's rows, from token files to committed answers; what comes before the first commit (the
    model's loading, one language to warm up) is not timed.
    """
    first, *languages = [job["languages"][0], *job["languages"]]
    warm_up = _work(job, first, "warm-up")
    works = [_work(job, language, language) for language in languages]
    predict.run([work for work, _ in (warm_up, *works)])
    end, start = works[-1][1], warm_up[1]
    tables = [pq.read_table(work.folder / "test.parquet") for work, _ in works]
    return {
        "seconds": end.at - start.at,
        "cpu_seconds": end.cpu_at - start.cpu_at,
        "rows": sum(map(len, tables)),
        "answers": [answer for table in tables for answer in table.column("prediction").to_pylist()],
        "margins": [margin for table in tables for margin in table.column("margin").to_pylist()],
        "peak_rss_mb": peak_rss_mb(),
    }


def _work(job: Mapping[str, Any], language: str, name: str) -> tuple[Work, Commit]:
    form = {name: job["form"][name] for name in ("family", "labels")}
    spec = {
        "target": job["target"],
        "form": form,
        "language": language,
        "splits": ["test"],
        "recipe": job["recipe"],
        "head": job["form"]["task"],
    }
    inputs = {"model": Path(job["parent"]), "tokens": Path(job["tokens"], job["target"], language)}
    return unit(Path(job["place"], name), spec, inputs, f"{job['target']}/{language}")


def heads(job: Mapping[str, Any], folder: Path) -> None:
    """Make a parent's folder one that can answer a form: with a head of random weights, as training begins with."""
    form = job["form"]
    tensors = source_of(job).head(AutoConfig.from_pretrained(folder)).state_dict()
    save_file(
        {f"{form['task']}.{name}": value for name, value in tensors.items()}, folder / "heads.safetensors"
    )
    kept = {form["task"]: {name: form[name] for name in ("family", "labels")}}
    (folder / "heads.json").write_text(json.dumps(kept) + "\n", encoding="utf-8")
