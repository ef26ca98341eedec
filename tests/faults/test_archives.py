"""Datasets that are files at an address: the server misbehaves, the file changes, the archive is not what it says."""

import hashlib
import io
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.faults.test_hub import ENCODER, World, failed, jobs, succeeded
from tests.hub_server import HubServer

STUDY = """\
study: micro
question: Does anything break?
hub: huggingface
encoders: {enc: {from: me/encoder}}
arms: {none: []}
targets: [words]
tasks: mine
languages: [en, de]
"""
TASK = """\
task: words
family: tag
title: Words
metric: chunks
languages: [en, de]
sources:
  - hub: archives/words
    url: ENDPOINT/banks/words-v1.tgz
    format: conllu
    members: "*/{language}_*-ud-{split}.conllu"
    config: "{language}"
    splits: {train: train, dev: dev, test: test}
    train_languages: [en]
columns: {tokens: tokens, tags: upos}
labels: [ADP, DET, NOUN, VERB]
"""
URL = "banks/words-v1.tgz"
ENGLISH = "1\tdogs\t_\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tbark\t_\tVERB\t_\t_\t0\troot\t_\t_\n"
GERMAN = (
    "1-2\tim\t_\t_\t_\t_\t_\t_\t_\t_\n1\tin\t_\tADP\t_\t_\t3\tcase\t_\t_\n2\tdem\t_\tDET\t_\t_\t3\tdet\t_\t_\n"
    "3\tHaus\t_\tNOUN\t_\t_\t0\troot\t_\t_\n"
)


def bank(rows: int = 30) -> dict[str, bytes]:
    """Treebanks of two languages, members by name."""
    files = {}
    for language, text in (("en", ENGLISH), ("de", GERMAN)):
        for split in ("train", "dev", "test"):
            lines = [f"# sent_id = {split}-{number}\n{text}\n" for number in range(rows)]
            files[f"banks/UD/{language}_small-ud-{split}.conllu"] = "".join(lines).encode()
    return files


def tgz(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    server = HubServer()
    server.model("me/encoder", ENCODER)
    server.files[URL] = tgz(bank())
    (tmp_path / "micro.yaml").write_text(STUDY)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "words.yaml").write_text(TASK.replace("ENDPOINT", server.endpoint))
    yield World(server, tmp_path)
    server.close()


def edit(world: World, old: str, new: str) -> None:
    path = world.path / "mine" / "words.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def tables(world: World) -> dict[str, str]:
    """The tables that the cache shows, by name, with their hashes."""
    root = world.cache / "archives"
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.parquet")}
    return {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}


PLACES = ("de/dev", "de/test", "en/dev", "en/test", "en/train")
WHOLE = {f"words/{place}-00000-of-00001.parquet" for place in PLACES}


def test_an_archive_is_brought_turned_and_pinned(world: World) -> None:
    succeeded(world.fetch())
    assert tables(world).keys() == WHOLE
    table = pq.read_table(world.cache / "archives/words/de/test-00000-of-00001.parquet")
    assert len(table) == 30
    assert table.slice(0, 1).to_pylist() == [
        {"id": "de_small-ud-test.conllu/1", "tokens": ["im", "Haus"], "upos": ["ADP", "NOUN"]}
    ]
    content = world.server.files[URL]
    assert (world.cache / "archives/words/words-v1.tgz").read_bytes() == content
    entry = world.lock["datasets"]["archives/words"]
    sha256 = hashlib.sha256(content).hexdigest()
    assert entry["archives"] == {f"{world.server.endpoint}/{URL}": {"sha256": sha256, "size": len(content)}}
    assert {file["revision"] for file in entry["files"].values()} == {sha256}
    # One request for five tables, and nobody but the hub is given the token.
    assert len(world.server.asked(URL)) == 1
    assert not any(headers.get("authorization") for _, _, headers in world.server.asked(URL))
    before = tables(world)
    world.server.requests.clear()
    succeeded(world.fetch())
    assert world.server.requests == []
    shutil.rmtree(world.cache)
    succeeded(world.fetch())
    assert tables(world) == before


PASSING = {
    "busy": ("status", {"code": 503, "headers": {"Retry-After": "1"}}),
    "too slow for it": ("status", {"code": 408}),
    "range not there": ("status", {"code": 416}),
    "truncated": ("truncate", {"after": 100}),
    "cut off": ("cut", {"after": 100}),
    "stalled": ("stall", {"after": 100}),
    "reset": ("reset", {}),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_waited_for(world: World, name: str) -> None:
    kind, options = PASSING[name]
    world.server.fault(URL, kind, times=1, **options)
    run = world.fetch()
    succeeded(run)
    assert "Trying again in" in run.stdout
    assert tables(world).keys() == WHOLE
    if kind in ("truncate", "stall"):
        asked = [headers for _, _, headers in world.server.asked(URL)]
        assert asked[1]["range"] == "bytes=100-"
        assert asked[1]["if-range"] == f'"{hashlib.sha256(world.server.files[URL]).hexdigest()}"'


def test_a_file_that_changes_between_two_attempts_is_not_put_together(world: World) -> None:
    world.server.fault(URL, "truncate", times=1, after=100)
    world.server.fault(URL, "status", code=503)
    failed(world.fetch(), "goes on from there")
    world.server.heal()
    world.server.files[URL] = tgz(bank(31))
    succeeded(world.fetch())
    assert (world.cache / "archives/words/words-v1.tgz").read_bytes() == world.server.files[URL]


def test_bytes_that_come_packed_are_unpacked(world: World) -> None:
    world.server.fault(URL, "packed")
    succeeded(world.fetch())
    assert (world.cache / "archives/words/words-v1.tgz").read_bytes() == world.server.files[URL]


FATAL = {
    "a page": ("page", {}, ["web page", "words-v1.tgz"]),
    "a page called data": ("page", {"type": "application/gzip"}, ["web page", "words-v1.tgz"]),
    "forbidden": ("status", {"code": 403}, ["does not give away", "403"]),
    "not there": ("status", {"code": 404}, ["does not have", "404", "`url`"]),
    "gone": ("status", {"code": 410}, ["does not have", "410"]),
    "always down": ("status", {"code": 503}, ["503", "ISTHMUS_HUB_PATIENCE"]),
    "always truncated": ("truncate", {"after": 0}, ["goes on from there"]),
    "dripping": ("drip", {"after": 10}, ["too slowly"]),
    "silent": ("hang", {}, ["nothing came for 1 s"]),
    "damaged": ("wrong", {}, ["cannot be unpacked", "Nothing of it was kept"]),
}


@pytest.mark.parametrize("name", FATAL)
def test_what_does_not_pass_is_said_and_leaves_nothing(world: World, name: str) -> None:
    kind, options, said = FATAL[name]
    world.server.fault(URL, kind, **options)
    failed(world.fetch(), *said)
    assert tables(world) == {}
    assert not (world.cache / "archives/words/words-v1.tgz").exists()
    assert world.lock["datasets"] == {}
    world.server.heal()
    succeeded(world.fetch())
    assert tables(world).keys() == WHOLE


def test_a_hash_in_the_yaml_is_held_against_the_file(world: World) -> None:
    edit(world, "    format: conllu\n", f"    format: conllu\n    sha256: {'f' * 64}\n")
    failed(world.fetch(), "task's YAML says ffff", hashlib.sha256(world.server.files[URL]).hexdigest())
    assert tables(world) == {}
    edit(world, "f" * 64, hashlib.sha256(world.server.files[URL]).hexdigest())
    succeeded(world.fetch())


@pytest.mark.parametrize("rows", [30, 29])  # the same length with other bytes, and another length
def test_a_file_that_was_replaced_after_it_was_pinned(world: World, rows: int) -> None:
    succeeded(world.fetch())
    lock = world.lock
    shutil.rmtree(world.cache)
    changed = {name: content.replace(b"dogs", b"cats") for name, content in bank(rows).items()}
    world.server.files[URL] = tgz(changed)
    failed(world.fetch(), "not the one that was pinned", r"isthmus pin STUDY --update")
    assert tables(world) == {}
    assert world.lock == lock
    succeeded(world.isthmus("pin", "micro.yaml", "--update"))
    assert world.lock != lock
    succeeded(world.fetch())
    table = pq.read_table(world.cache / "archives/words/en/test-00000-of-00001.parquet")
    assert table["tokens"][0].as_py() == ["cats", "bark"]


def test_pin_update_takes_the_new_file_although_the_old_one_lies_there(world: World) -> None:
    succeeded(world.fetch())
    world.server.files[URL] = tgz(bank(12))
    succeeded(world.isthmus("pin", "micro.yaml", "--update"))
    succeeded(world.fetch())
    assert len(pq.read_table(world.cache / "archives/words/en/test-00000-of-00001.parquet")) == 12


def test_where_the_address_is_dead_the_next_source_is_read(world: World) -> None:
    more = '  - {hub: me/words, config: "{language}", splits: {train: train, dev: dev, test: test}, train_languages: [en]}\n'
    edit(world, "columns:", f"{more}columns:")
    succeeded(world.fetch())
    files = {
        path.relative_to(world.cache / "archives/words").as_posix(): path.read_bytes()
        for path in (world.cache / "archives/words").rglob("*.parquet")
    }
    shutil.rmtree(world.cache)
    (world.path / "hub.lock").unlink()
    world.server.dataset("me/words", files)
    world.server.fault(URL, "status", code=404)
    succeeded(world.fetch())
    assert world.lock["datasets"]["archives/words"]["absent"] == sorted(PLACES)
    assert len(world.lock["datasets"]["me/words"]["files"]) == len(PLACES)
    assert tables(world) == {}
    world.server.heal()
    succeeded(world.isthmus("pin", "micro.yaml", "--update"))
    assert world.lock["datasets"]["archives/words"]["absent"] == []
    assert tables(world).keys() == WHOLE


def test_a_run_makes_what_a_mirror_of_the_cache_gives(world: World) -> None:
    for stage, document, receipt in jobs(world):
        succeeded(world.isthmus("stage", stage, "--job", document, "--receipt", receipt))
    assert jobs(world) == []
    shutil.copytree(world.cache, world.path / "mirror")
    study = world.path / "micro.yaml"
    study.write_text(STUDY.replace("hub: huggingface", "hub: ./mirror"))
    assert jobs(world) == []


def test_a_table_that_was_damaged_is_made_again_without_the_server(world: World) -> None:
    succeeded(world.fetch())
    before = tables(world)
    (world.cache / "archives/words/de/test-00000-of-00001.parquet").write_bytes(b"PAR1")
    world.server.requests.clear()
    succeeded(world.fetch())
    assert tables(world) == before
    assert world.server.asked(URL) == []


def test_without_a_network(world: World, tmp_path: Path) -> None:
    failed(world.fetch(HF_HUB_OFFLINE="1"), "archives/words/de/test", "not fetched yet")
    succeeded(world.fetch())
    succeeded(world.isthmus("bundle", "micro.yaml", "b.tar"))
    there = World(world.server, tmp_path / "cluster")
    shutil.copytree(world.path / "mine", there.path / "mine")
    for name in ("micro.yaml", "b.tar"):
        shutil.copy(world.path / name, there.path / name)
    world.server.requests.clear()
    succeeded(there.isthmus("unbundle", "micro.yaml", "b.tar", HF_HUB_OFFLINE="1"))
    assert there.lock == world.lock
    assert tables(there) == tables(world)
    succeeded(there.fetch(HF_HUB_OFFLINE="1"))
    # What was published is enough where somebody carried only that.
    shutil.rmtree(there.cache / "archives")
    (there.cache / "archives/words").mkdir(parents=True)
    shutil.copy(world.cache / "archives/words/words-v1.tgz", there.cache / "archives/words")
    succeeded(there.fetch(HF_HUB_OFFLINE="1"))
    assert tables(there) == tables(world)
    (there.cache / "archives/words/words-v1.tgz").write_bytes(tgz(bank(3)))
    shutil.rmtree(there.cache / "archives/words/de")
    failed(there.fetch(HF_HUB_OFFLINE="1"), "is pinned", "Put the right file there")
    assert world.server.requests == []


def test_a_mirror_that_has_only_what_was_published_says_how_to_make_tables_of_it(world: World) -> None:
    folder = world.path / "mirror" / "archives" / "words"
    folder.mkdir(parents=True)
    (folder / "words-v1.tgz").write_bytes(world.server.files[URL])
    (world.path / "micro.yaml").write_text(STUDY.replace("hub: huggingface", "hub: ./mirror"))
    failed(
        world.isthmus("plan", "micro.yaml"),
        "archives/words/words-v1.tgz",
        "ISTHMUS_CACHE",
        "isthmus fetch",
        code=2,
    )
    (world.path / "micro.yaml").write_text(STUDY)
    world.server.files.clear()
    succeeded(world.fetch(ISTHMUS_CACHE=str(world.path / "mirror")))
    (world.path / "micro.yaml").write_text(STUDY.replace("hub: huggingface", "hub: ./mirror"))
    succeeded(world.isthmus("plan", "micro.yaml"))


def test_an_archive_without_a_language_says_so(world: World) -> None:
    content = {name: text for name, text in bank().items() if "/de_" not in name}
    world.server.files[URL] = tgz(content)
    failed(world.fetch(), r"no member like \*/de_\*-ud-dev\.conllu", "`members`")
    assert (
        world.cache / "archives/words/words-v1.tgz"
    ).exists()  # it is whole; the YAML may be what is wrong


def test_lines_that_are_none_of_the_format_are_named(world: World) -> None:
    content = bank(2) | {"banks/UD/de_small-ud-test.conllu": b"1\tonly\tthree\n"}
    world.server.files[URL] = tgz(content)
    failed(world.fetch(), r"de_small-ud-test\.conllu, line 1", "CoNLL-U", code=65)


def test_what_is_read_another_way_is_made_anew(world: World) -> None:
    succeeded(world.fetch())
    edit(world, "-ud-{split}.conllu", "-ud-test.conllu")
    succeeded(world.fetch())
    table = pq.read_table(world.cache / "archives/words/en/dev-00000-of-00001.parquet")
    assert table["id"][0].as_py() == "en_small-ud-test.conllu/1"
    assert re.search(r"conllu\.1:\*/en_\*-ud-test", json.dumps(world.lock["datasets"]["archives/words"]))


def test_a_published_file_that_rots_is_downloaded_again(world: World) -> None:
    succeeded(world.fetch())
    before = tables(world)
    (world.path / "hub.lock").unlink()  # only the cache knows what was there
    (world.cache / "archives/words/words-v1.tgz").write_bytes(tgz(bank(3)))
    shutil.rmtree(world.cache / "archives/words/de")
    run = world.fetch()
    succeeded(run)
    assert "downloaded again" in run.stdout
    assert tables(world) == before


def test_two_addresses_with_one_name_of_a_file_are_told_apart(world: World) -> None:
    succeeded(world.fetch())
    world.server.files["other/words-v1.tgz"] = tgz(bank(9))
    edit(world, "banks/words-v1", "other/words-v1")
    succeeded(world.fetch())
    assert len(pq.read_table(world.cache / "archives/words/de/test-00000-of-00001.parquet")) == 9
