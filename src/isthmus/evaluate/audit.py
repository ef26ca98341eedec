"""The audit stage: which test examples occur in what was trained on, as a table (contamination.csv).

For each test split, each of its fields (context, question, …) and each training set that could have told it: how many
examples have a field that is a whole field there (Dodge et al. 2021), and how many share an n-gram with it
(Brown et al. 2020, appendix C). `grams` says what counts as the same. Training sets count whole, whatever part of them a
recipe takes, and in all languages that they are trained in; development splits, which only select, do not count.
"""

import csv
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evaluate.fingerprint import test_hashes, training_hashes
from isthmus.evaluate.grams import Hashes, Places
from isthmus.log import say
from isthmus.work import Work

FILE = "contamination.csv"
COLUMNS = (
    "study",
    "training",
    "training_languages",
    "role",
    "target",
    "language",
    "field",
    "n",
    "exact",
    "exact_percent",
    "n_with_ngrams",
    "ngram",
    "ngram_percent",
    "covered_percent",
    "examples",
)
SHOWN = 3  # ids of examples to look at
Sets = Sequence[tuple[Hashes, Hashes]]


def run(works: Sequence[Work]) -> None:
    """Write contamination.csv of each unit: every test split against the training sets that count for it."""
    for work in works:
        started = time.perf_counter()
        rows = list(table(work.spec, work.inputs))
        with (work.folder / FILE).open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        found = sum(row["exact"] > 0 or row["ngram"] > 0 for row in rows)
        say(f"{work.name}: {len(rows)} comparisons, {found} with something in common")
        seconds = time.perf_counter() - started
        work.commit(details={"rows": len(rows), "with_hits": found, "seconds": seconds})


def table(spec: Mapping[str, Any], inputs: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
    """The rows of contamination.csv, keyed by COLUMNS: target by target, language by language.

    `spec` has study, `tests` (target -> languages) and `trainings`, each with training, languages, and `roles`, each
    with the targets that it counts for (null = all); inputs are called test/<target>/<language> and train/<training>/<language>.
    """
    opened = functools.cache(lambda name, language: training_hashes(inputs[f"train/{name}/{language}"]))
    for target, languages in spec["tests"].items():
        for language in languages:
            ids, fields = test_hashes(inputs[f"test/{target}/{language}"])
            for training in spec["trainings"]:
                roles = [role for role, only in training["roles"].items() if only is None or target in only]
                if not roles:
                    continue
                sets = [opened(training["training"], code) for code in training["languages"]]
                for field, hashes in fields.items():
                    found = compare(ids, *hashes, sets)
                    if not found["n"]:
                        continue
                    yield {
                        "study": spec["study"],
                        "training": training["training"],
                        "training_languages": " ".join(training["languages"]),
                        "role": ", ".join(roles),
                        "target": target,
                        "language": language,
                        "field": field,
                        **found,
                    }


def compare(ids: Sequence[str], whole: Hashes, runs: Hashes, ends: Places, sets: Sets) -> dict[str, Any]:
    """One field of one test split against a training set, given as pairs of sorted hashes (whole texts, n-grams). `n` are
    the examples that have the field: a text of some letters.
    """
    exact, hit = np.zeros(len(whole), bool), np.zeros(len(runs), bool)
    for texts, ngrams in sets:
        exact |= _known(whole, texts)
        hit |= _known(runs, ngrams)
    counts = np.diff(ends)
    hits = np.diff(np.concatenate([[0], np.cumsum(hit)])[ends])
    long_enough, shared = counts > 0, hits > 0
    first = np.flatnonzero(exact | shared)[:SHOWN]
    covered = (hits[long_enough] / counts[long_enough]).sum()
    n = int((whole != 0).sum())
    return {
        "n": n,
        "exact": int(exact.sum()),
        "exact_percent": _percent(exact.sum(), n),
        "n_with_ngrams": int(long_enough.sum()),
        "ngram": int(shared.sum()),
        "ngram_percent": _percent(shared.sum(), long_enough.sum()),
        "covered_percent": _percent(covered, long_enough.sum()),
        "examples": "; ".join(ids[place] for place in first),
    }


def _known(hashes: Hashes, among: Hashes) -> NDArray[np.bool_]:
    """Whether each hash is one of some sorted ones."""
    if not len(among):
        return np.zeros(len(hashes), bool)
    places = np.searchsorted(among, hashes)
    found: NDArray[np.bool_] = among[np.minimum(places, len(among) - 1)] == hashes
    return found


def _percent(part: float, of: int) -> str:
    """Two decimals; empty where there is nothing to take a part of."""
    return f"{100 * float(part) / of:.2f}" if of else ""
