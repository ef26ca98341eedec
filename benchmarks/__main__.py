"""`python -m benchmarks`: measure, write results, and exit 1 where a target is missed, 2 where the texts are absent."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import mirror, report, training
from benchmarks.child import ChildFailed, measure
from benchmarks.machine import facts
from benchmarks.prediction import prediction
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.study import study
from benchmarks.verdict import MISSED, NO_DATA, Target, exit_code

RESULTS = Path(__file__).parent / "results"
Part = Callable[[Mapping[str, Any], Scale, Path, Callable[[str], None]], dict[str, Any]]
PARTS: Mapping[str, Part] = {
    "training": training.mnli,
    "prediction": prediction,
    "tagging": training.tagging,
    "questions": training.questions,
    "linear": training.linear,
    "bf16": training.bf16,
    "demo": study,
}
NEED_NO_TEXTS = frozenset({"demo"})


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
        work = (options.work or Path(name)).absolute()
        results = RESULTS if scale is FULL else work / "results"
        try:
            found = run(options.only or list(PARTS), scale, work, results)
        except mirror.NoData as error:
            print(f"benchmarks: {error}", file=sys.stderr)
            return NO_DATA
        except ChildFailed as error:
            print(f"benchmarks: nothing was measured. {error}", file=sys.stderr)
            return MISSED
        print(report.write(results, "" if scale is FULL else "quick: toy sizes, no measurement"))
    return exit_code(found)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--only", nargs="+", choices=PARTS, help="these parts; the others' results stay")
    made.add_argument(
        "--quick", action="store_true", help="toy sizes: shows that everything runs, measures nothing"
    )
    made.add_argument(
        "--work", type=Path, help="a folder for texts and models, kept; default: one that is removed"
    )
    return made


def run(parts: Sequence[str], scale: Scale, work: Path, results: Path) -> list[dict[str, Any]]:
    """Measure some parts and write their results, each as soon as it is there. One that breaks does not stop the others.

    Raises:
        NoData: the texts are absent.
        ChildFailed: they could not be prepared.
    """
    say = teller(scale)
    prepared: dict[str, Any] = {}
    if not NEED_NO_TEXTS.issuperset(parts):
        prepared = prepare(scale, work, mirror.folder())
        say("texts, tokenizer and model are prepared")
    results.mkdir(parents=True, exist_ok=True)
    found = []
    for name in parts:
        start = time.monotonic()
        try:
            result = PARTS[name](prepared, scale, work, say)
        except ChildFailed as error:
            result = broken(error)
        result |= {
            "part": name,
            "machine": facts(),
            "threads": scale.threads,
            "scale": scale.json(),
            "about": prepared.get("about", {}),
            "took_s": round(time.monotonic() - start, 1),
        }
        text = json.dumps(result, indent=1) + "\n"
        (results / f"{name}.json").write_text(text, encoding="utf-8")
        missed = [target["name"] for target in result["targets"] if not target["passed"]]
        say(f"{name} took {result['took_s']:.0f} s" + (f"; MISSED: {'; '.join(missed)}" if missed else ""))
        found.append(result)
    return found


def broken(error: ChildFailed) -> dict[str, Any]:
    """The result of a part that ended with an error: a target missed."""
    print(f"benchmarks: {error}", file=sys.stderr, flush=True)
    ended = Target("the measurement ran to its end", 0, at_least=1)
    return {"skipped": f"it ended with an error ({str(error).splitlines()[-1]})", "targets": [ended.json()]}


def prepare(scale: Scale, work: Path, texts: Path) -> dict[str, Any]:
    """Texts, tokenizer and model in the work folder, made unless they are there."""
    kept = work / f"prepared-{scale.name}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    told = {**scale.json(), "mirror": str(texts), "folder": str(work / scale.name)}
    prepared = measure("prepare", told, work)
    kept.write_text(json.dumps(prepared), encoding="utf-8")
    return prepared


def teller(scale: Scale) -> Callable[[str], None]:
    """Says a line with the time since the start, and whether it counts."""
    start = time.monotonic()
    mark = "" if scale is FULL else f" {scale.name}"

    def say(sentence: str) -> None:
        print(f"[{time.monotonic() - start:5.0f} s{mark}] {sentence}", flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
