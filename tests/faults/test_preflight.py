"""Everything that can be wrong with a study's data, planted at once: one `isthmus check` names all of it."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import Folder
from tests.faults import mirror_of_all as mirror

Change = Callable[[Path], None]
XNLI, PAWSX, XTREME = "facebook/xnli", "google-research-datasets/paws-x", "google/xtreme"
XQUAD, XCOPA, BUCC = "google/xquad", "cambridgeltl/xcopa", "comparable.limsi.fr/bucc2018"


def edit(hub_id: str, config: str, split: str, change: Callable[[pa.Table], pa.Table]) -> Change:
    def spoil(root: Path) -> None:
        place = mirror.path(root, hub_id, config, split)
        pq.write_table(change(pq.read_table(place)), place)

    return spoil


def column(name: str, change: Callable[[list], list], kind: pa.DataType | None = None):
    """Another content of a column, from its values."""

    def made(table: pa.Table) -> pa.Table:
        values = pa.array(change(table[name].to_pylist()), kind)
        return table.set_column(table.column_names.index(name), name, values)

    return made


def cell(name: str, row: int, value: object, kind: pa.DataType | None = None):
    """Another content of one cell."""
    return column(name, lambda values: [value if n == row else old for n, old in enumerate(values)], kind)


def xnli(code: str, change: Callable[[pa.Table], pa.Table]) -> Change:
    return edit(XNLI, code, "test", change)


def bytes_of(hub_id: str, config: str, split: str, change: Callable[[bytes], bytes]) -> Change:
    def spoil(root: Path) -> None:
        place = mirror.path(root, hub_id, config, split)
        place.write_bytes(change(place.read_bytes()))

    return spoil


def shard(hub_id: str, config: str, split: str, name: str, other: pa.Table | None = None) -> Change:
    """Call the only file of a split the first of two; and give the second, or not."""

    def spoil(root: Path) -> None:
        place = mirror.path(root, hub_id, config, split)
        place.rename(place.with_name(f"{split}-00000-of-00002.parquet"))
        if other is not None:
            pq.write_table(other, place.with_name(name))

    return spoil


def gone(hub_id: str, config: str, split: str) -> Change:
    return lambda root: mirror.path(root, hub_id, config, split).unlink()


def answers(code: str, row: int, texts: list[str], starts: list[int]) -> Change:
    return edit(
        XQUAD, f"xquad.{code}", "validation", cell("answers", row, {"text": texts, "answer_start": starts})
    )


def encoder(name: str, change: Callable[[Path], None]) -> Change:
    return lambda root: change(root / "me" / name)


def json_file(name: str, change: Callable[[dict], None]) -> Callable[[Path], None]:
    def made(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))

    return made


def without_mask(content: dict) -> None:
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "<mask>"]


def tags(code: str, change: Callable[[pa.Table], pa.Table]) -> Change:
    return edit(XTREME, f"PAN-X.{code}", "test", change)


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


# Where it is planted, and what the line says that names it.
FAULTS: dict[str, tuple[Change, str]] = {
    "missing split": (
        gone(XNLI, "ar", "test"),
        r"xnli/ar test \(facebook/xnli ar test\): the mirror .* does not have it\. Add it",
    ),
    "missing column": (
        xnli("bg", lambda table: table.drop_columns(["hypothesis"])),
        r"xnli/bg test \(facebook/xnli bg test\) has no column 'hypothesis'; it has premise, label\. Correct",
    ),
    "labels that are numbers with a point": (
        xnli("de", column("label", lambda values: [float(value) for value in values])),
        r"xnli/de test .*: the column 'label' is double, not a label\. Correct",
    ),
    "a text that is a struct": (
        xnli("el", column("premise", lambda values: [{"t": value} for value in values])),
        r"xnli/el test .*: the column 'premise' is struct<t: string>, not string\. Correct",
    ),
    "null text": (
        xnli("es", cell("premise", 3, None, pa.string())),
        r"xnli/es test .*: row 3 has no text_a \(a null\)\. Mend",
    ),
    "label out of range": (
        xnli("fr", cell("label", 2, 7)),
        r"xnli/fr test .*: row 2 has the label 7\. The task expects entailment, neutral, contradiction or their places",
    ),
    "label name unknown": (
        xnli("hi", column("label", lambda values: ["neutral", "maybe", *["neutral"] * (len(values) - 2)])),
        r"xnli/hi test .*: row 1 has the label 'maybe'\.",
    ),
    "labels of another task": (
        xnli("ru", lambda table: mirror.with_names(table, "label", ["yes", "no", "maybe"])),
        r"xnli/ru test .* has the labels yes, no, maybe; the task expects entailment, neutral, contradiction\. Correct",
    ),
    "damaged parquet": (
        bytes_of(XNLI, "sw", "test", lambda content: content[:4] + b"\xff" * 300 + content[304:]),
        r"facebook/xnli/sw/test-00000-of-00001\.parquet is not a readable parquet file .*Fetch it again",
    ),
    "truncated parquet": (
        bytes_of(XNLI, "th", "test", half),
        r"facebook/xnli/th/test-00000-of-00001\.parquet is not a readable parquet file .*Fetch it again",
    ),
    "missing shard": (
        shard(XNLI, "tr", "test", ""),
        r"has 1 of 2 shards of facebook/xnli tr test",
    ),
    "zero rows": (
        xnli("ur", lambda table: table.slice(0, 0)),
        r"xnli/ur test .* has no rows\. Correct",
    ),
    "file of no bytes": (
        bytes_of(XNLI, "vi", "test", lambda _: b""),
        r"facebook/xnli/vi/test-00000-of-00001\.parquet is not a readable parquet file",
    ),
    "many wrong rows": (
        xnli("zh", column("label", lambda values: [5] * len(values))),
        r"xnli/zh test .*: row 0 has the label 5; row 1 .*; row 2 has the label 5; 12 rows are like that\. The task",
    ),
    "duplicate id": (
        edit(PAWSX, "de", "test", cell("id", 4, "1")),
        r"pawsx/de test .*: row 4 has the id '1', which row 0 has\. Mend",
    ),
    "null id": (
        edit(PAWSX, "es", "test", cell("id", 5, None)),
        r"pawsx/es test .*: row 5 has no id \(a null\)\. Mend",
    ),
    "a web page": (
        bytes_of(PAWSX, "fr", "test", lambda _: b"<!doctype html><html>Sign in</html>"),
        r"paws-x/fr/test-00000-of-00001\.parquet is not a readable parquet file",
    ),
    "a pointer to a large file": (
        bytes_of(
            PAWSX, "ja", "test", lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        ),
        r"paws-x/ja/test-00000-of-00001\.parquet is not a readable parquet file",
    ),
    "files with other columns": (
        shard(PAWSX, "ko", "test", "test-00001-of-00002.parquet", pa.table({"other": ["a"]})),
        r"pawsx/ko .*paws-x ko test\): the files of it have other columns than each other",
    ),
    "a bad dev split beside a good test split": (
        edit(PAWSX, "zh", "validation", cell("label", 0, 2)),
        r"pawsx/zh dev .*: row 0 \(id '1'\) has the label 2\.",
    ),
    "tags shorter than tokens": (
        tags("de", cell("ner_tags", 0, [0, 1])),
        r"panx/de test .*: row 0 has 6 words and 2 tags\. Every sentence",
    ),
    "tags longer than tokens": (
        tags("es", cell("ner_tags", 7, [0] * 9)),
        r"panx/es test .*: row 7 has 6 words and 9 tags\.",
    ),
    "empty tokens": (
        tags("fr", lambda table: cell("ner_tags", 2, [])(cell("tokens", 2, [])(table))),
        r"panx/fr test .*: row 2 has no words\.",
    ),
    "a word that is null": (
        tags("hi", cell("tokens", 1, ["a", None, "b", "c", "d", "e"])),
        r"panx/hi test .*: row 1 has a word that is null\.",
    ),
    "tag out of range": (
        tags("tr", cell("ner_tags", 6, [0, 0, 0, 0, 9, 0])),
        r"panx/tr test .*: row 6 has the label 9\. The task expects O, B-PER",
    ),
    "tags that are no list": (
        tags("ru", column("ner_tags", lambda values: [0] * len(values))),
        r"panx/ru test .*: the column 'ner_tags' is int64, not a list of tags\.",
    ),
    "answer offset wrong": (
        answers("de", 1, ["heronde"], [1]),
        r"xquad/de test .*: row 1 \(id 'q1'\) says that 'heronde' starts at character 1 of its context, but",
    ),
    "answer empty": (
        answers("es", 2, [""], [0]),
        r"xquad/es test .*: row 2 \(id 'q2'\) has an answer without text or without a start\.",
    ),
    "answers without starts": (
        answers("tr", 0, ["a", "b"], [0]),
        r"xquad/tr test .*: row 0 \(id 'q0'\) has 2 answers and 1 starts\.",
    ),
    "empty context": (
        edit(XQUAD, "xquad.ru", "validation", cell("context", 3, " ")),
        r"xquad/ru test .*: row 3 \(id 'q3'\) has an empty context\.",
    ),
    "answers in the other nesting": (
        edit(
            XQUAD, "xquad.vi", "validation", column("answers", lambda values: [[value] for value in values])
        ),
        r"xquad/vi test .*: the column 'answers' has no field 'text'",
    ),
    "starts that are words": (
        edit(
            XQUAD,
            "xquad.zh",
            "validation",
            column("answers", lambda values: [{**value, "answer_start": ["one"]} for value in values]),
        ),
        r"xquad/zh test .*: the column 'answers\.answer_start' is list<.*string>, not list<.*int32>\.",
    ),
    "a choice that is not there": (
        edit(XCOPA, "sw", "test", cell("label", 8, 2)),
        r"xcopa/sw test .*: row 8 has the label 2\. The task expects choice1, choice2",
    ),
    "null choice": (
        edit(XCOPA, "th", "test", cell("choice2", 3, None)),
        r"xcopa/th test .*: row 3 has no choices \(a null\)\.",
    ),
    "fewer than two choices": (
        edit("tau/commonsense_qa", "default", "train", cell("choices", 3, {"label": ["A"], "text": ["x"]})),
        r"commonsense_qa/en train .*: row 3 \(id 'c3'\) has 1 choices, and there must be at least two",
    ),
    "choices that are no list": (
        edit("Rowan/hellaswag", "default", "train", column("endings", lambda values: ["x"] * len(values))),
        r"hellaswag/en train .*: row 0 has '.* x' in \{ctx_b\} \{endings\}, which is no list\.",
    ),
    "training data without gold": (
        edit("nyu-mll/glue", "qqp", "train", column("label", lambda values: [-1] * len(values))),
        r"qqp/en train \(nyu-mll/glue qqp train\): none of its 12 rows has a gold label, and the study trains on it\.",
    ),
    "empty sentence": (
        edit(XTREME, "tatoeba.deu", "validation", cell("source_sentence", 5, "")),
        r"tatoeba/de test .*: row 5 has an empty text_a\.",
    ),
    "gold that names an unknown sentence": (
        edit(BUCC, "de-en.gold", "training", cell("id2", 1, "en-99")),
        r"bucc/de test .*gold: row 1 names the sentence 'en-99', which pool b does not have\.",
    ),
    "a sentence twice in a pool": (
        edit(BUCC, "fr-en.fr", "training", cell("id", 3, "fr-1")),
        r"bucc/fr test .*: row 3 has the id 'fr-1', which row 1 has\.",
    ),
    "no pair to choose a threshold by": (
        edit(BUCC, "zh-en.gold", "sample", lambda table: table.slice(0, 0)),
        r"bucc/zh dev .* \(gold\) has no rows\.",
    ),
    "encoder without config": (
        encoder("bare", lambda folder: (folder / "config.json").unlink()),
        r"has no encoder me/bare: expected me/bare/config\.json\. Add it there",
    ),
    "tokenizer without special tokens": (
        encoder("plain", json_file("tokenizer.json", without_mask)),
        r"the encoder plain \(me/plain\): The tokenizer in .* lacks <mask>\.",
    ),
    "max_length beyond positions": (
        encoder(
            "short", json_file("config.json", lambda content: content.update(max_position_embeddings=34))
        ),
        r"the encoder short \(me/short\): .*max_length 64 is longer than the encoder's 32 positions\. Lower",
    ),
    "torn weights": (
        encoder(
            "torn",
            lambda folder: (folder / "model.safetensors").write_bytes(
                (folder / "model.safetensors").read_bytes()[:50]
            ),
        ),
        r"the encoder torn \(me/torn\): model\.safetensors is no whole file of weights .*Fetch it again",
    ),
    "tokenizer of another encoder": (
        encoder("wide", json_file("config.json", lambda content: content.update(vocab_size=20))),
        r"the encoder wide \(me/wide\): its tokenizer has \d+ ids, and its embedding 20 rows\.",
    ),
    "pickled weights": (
        encoder(
            "pickled", lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        ),
        r"me/pickled has no \*\.safetensors\. Pickled weights are not read",
    ),
}


def checked(root: Path, spoilt: bool) -> subprocess.CompletedProcess:
    mirror.write_mirror(root / "mirror")
    for spoil, _ in FAULTS.values() if spoilt else ():
        spoil(root / "mirror")
    folder = Folder(root)
    folder.write(mirror.study(root / "mirror"))
    return folder.isthmus("check", str(folder.study))


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> subprocess.CompletedProcess:
    return checked(tmp_path_factory.mktemp("spoilt"), spoilt=True)


def problems(run: subprocess.CompletedProcess) -> list[str]:
    return run.stderr.splitlines()[1:]


def test_there_are_at_least_thirty():
    assert len(FAULTS) >= 30


@pytest.mark.parametrize("fault", FAULTS)
def test_one_pass_names_the_fault(said, fault):
    pattern = FAULTS[fault][1]
    assert [line for line in problems(said) if re.search(pattern, line)], said.stdout + said.stderr


def test_nothing_else_is_said_and_nothing_was_trained(said):
    assert said.returncode == 65
    strangers = [
        line for line in problems(said) if not any(re.search(pattern, line) for _, pattern in FAULTS.values())
    ]
    assert not strangers, "\n".join(strangers)
    assert "Traceback" not in said.stderr
    first = said.stderr.splitlines()[0]
    assert first == f"isthmus: {first.split()[1]} {len(problems(said))} problems. Nothing was trained."


def test_where_nothing_is_wrong_nothing_is_said_and_what_was_looked_at_is_shown(tmp_path):
    run = checked(tmp_path, spoilt=False)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    assert re.search(r"^panx +17 +12 +204 +204$", run.stdout, re.MULTILINE)
    assert run.stdout.splitlines()[-1].startswith("No problems.")
    # The run that follows finds all of it in the store.
    planned = Folder(tmp_path).planned()
    assert not {"fetch_dataset", "fetch_encoder", "preflight"} & set(planned) and planned["train_target"]
