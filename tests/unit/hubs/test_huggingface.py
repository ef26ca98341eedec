"""The Hugging Face hub without a network: which files a split has, what a lock says, what a bundle may hold."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from isthmus import settings
from isthmus.errors import DataError, HubError, StorageError, UsageError
from isthmus.hubs import layout
from isthmus.hubs.bundle import bundle, unbundle
from isthmus.hubs.checked import Entry, Received
from isthmus.hubs.huggingface import HuggingFace
from isthmus.hubs.mirror import Mirror
from isthmus.hubs.pinned import Item, Pinned, Repository, is_safe, lock_text, read_lock

COMMIT = "ab" * 20


# Which files a split has -------------------------------------------------------------------------------------


def card(*lines: str) -> layout.Card:
    return layout.read_card("\n".join(("---", *lines, "---", "# Title")), "it")


@pytest.mark.parametrize(
    ("names", "config", "found"),
    [
        (["de/test-00001-of-00002.parquet", "de/test-00000-of-00002.parquet"], "de", [1, 0]),
        (["de/test.parquet"], "de", [0]),
        (["de/test/0001.parquet", "de/test/0000.parquet"], "de", [1, 0]),
        (["data/de/test-00000-of-00001.parquet"], "de", [0]),
        (["data/test-00000-of-00001.parquet"], "default", [0]),
        (["data/test-00000-of-00001-a1b2c3.parquet"], "default", [0]),
        (["test.parquet"], "default", [0]),
        (["data/test-00000-of-00001.parquet"], "de", []),
        (["de/test_matched-00000-of-00001.parquet", "en/test.parquet", "de/test.csv"], "de", []),
    ],
)
def test_usual_names(names: list[str], config: str, found: list[int]) -> None:
    assert layout.split_files(names, {}, config, "test") == [names[index] for index in found]


def test_a_card_wins_over_names() -> None:
    told = card("configs:", "- config_name: de", "  data_files:", "  - {split: test, path: other/*.parquet}")
    names = ["de/test.parquet", "other/b.parquet", "other/a.parquet", "other/deep/c.parquet"]
    assert layout.split_files(names, told, "de", "test") == ["other/a.parquet", "other/b.parquet"]
    assert layout.split_files(names, told, "en", "test") == []
    assert layout.offered(names, told) == ["de"]


def test_forms_of_cards() -> None:
    told = card(
        "configs:",
        "- {config_name: no, data_dir: norsk, data_files: '*.parquet'}",
        "- {data_files: [{split: dev, path: ['a/**', './b-[0-9].parquet']}]}",
        "- {config_name: empty}",
        "license: mit",
    )
    assert told == {
        "no": {"train": ["norsk/*.parquet"]},
        "default": {"dev": ["a/**", "b-[0-9].parquet"]},
    }
    names = ["norsk/x.parquet", "a/deep/y.parquet", "b-1.parquet", "b-x.parquet"]
    assert layout.split_files(names, told, "no", "train") == ["norsk/x.parquet"]
    assert layout.split_files(names, told, "default", "dev") == ["a/deep/y.parquet", "b-1.parquet"]


def test_other_formats_are_not_left_out_unsaid() -> None:
    told = card("configs:", "- {config_name: x, data_files: [{split: test, path: [a.parquet, b.csv]}]}")
    assert layout.split_files(["a.parquet", "b.csv"], told, "x", "test") == []


def test_text_without_a_card() -> None:
    assert layout.read_card("# Title\n---\nconfigs: 1\n---\n", "it") == {}
    assert card("license: mit") == card("configs: none") == card("- a") == {}


def test_a_card_that_grows_is_refused() -> None:
    with pytest.raises(HubError, match="aliases"):
        card("a: &a [x, x]", "b: [*a, *a]")
    with pytest.raises(HubError, match="cannot be read"):
        card("a: [")


def test_half_a_copy_is_no_copy() -> None:
    names = ["de/partial-train/0000.parquet", "de/test/0000.parquet"]
    assert layout.converted_files(names, "de", "test", "it") == ["de/test/0000.parquet"]
    assert layout.converted_files(names, "de", "dev", "it") == []
    with pytest.raises(HubError, match="only the beginning"):
        layout.converted_files(names, "de", "train", "it")


# Files on their way ------------------------------------------------------------------------------------------


def test_a_git_hash_is_what_small_files_are_held_against(tmp_path: Path) -> None:
    # git hash-object of a file that holds "hello\n"
    entry = Entry(6, "ce013625030ba8dba906f756967f9e9ca394464a", None)
    (tmp_path / "part").write_bytes(b"hello\n")
    assert Received(tmp_path / "part", entry, "it").verified() == hashlib.sha256(b"hello\n").hexdigest()
    (tmp_path / "part").write_bytes(b"hullo\n")
    assert Received(tmp_path / "part", entry, "it").verified() is None


def test_a_file_of_no_bytes(tmp_path: Path) -> None:
    entry = Entry(0, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", None)
    assert Received(tmp_path / "part", entry, "it").verified() == hashlib.sha256(b"").hexdigest()


# What is known -----------------------------------------------------------------------------------------------


def item(local: str, content: bytes = b"x") -> Item:
    return Item(local, local, COMMIT, len(content), hashlib.sha256(content).hexdigest())


def data(split: str = "train", **changes: object) -> dict:
    source = {"hub": "hub", "id": "owner/name", "config": "en", "revision": None, **changes}
    return {"source": source, "splits": {"train": split}}


def encoder(*files: str) -> dict:
    return {"source": {"hub": "hub", "id": "owner/name", "revision": None}, "files": list(files)}


def test_a_split_is_known_when_all_its_shards_are() -> None:
    pinned = Pinned(None, COMMIT).with_items([item("en/train-00000-of-00002.parquet")])
    assert pinned.find(data()) is None
    pinned = pinned.with_items(
        [item("en/train-00001-of-00002.parquet"), item("en/test-00000-of-00001.parquet")]
    )
    found = pinned.find(data())
    assert found is not None
    assert [one.local for one in found] == [
        "en/train-00000-of-00002.parquet",
        "en/train-00001-of-00002.parquet",
    ]
    assert pinned.find(data("dev")) is None


def test_an_encoder_is_known_when_all_its_patterns_were_listed() -> None:
    files = [item("config.json"), item("model.safetensors"), item("tokenizer.json")]
    pinned = Pinned(None, COMMIT).with_items(files, ["tokenizer.json"])
    assert pinned.find(encoder("tokenizer.json")) == [files[0], files[2]]
    assert pinned.find(encoder("tokenizer.json", "*.safetensors")) is None
    assert pinned.with_items([], ["*.safetensors"]).find(encoder("*.safetensors")) == files[:2]


@pytest.mark.parametrize(
    ("asked", "wanted", "fits"),
    [(None, None, True), ("v1", "v1", True), (None, COMMIT, True), (None, COMMIT[:8], True), ("v1", None, True),
     (None, "v1", False), (None, "cd" * 20, False), (None, "ab", False)],
)  # fmt: skip
def test_which_revision_may_serve(asked: str | None, wanted: str | None, fits: bool) -> None:
    assert Pinned(asked, COMMIT).fits(wanted) is fits


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/x", "a//b", ".hidden", "a/.b", "a\\b", "", "a/b/c", "a\0"]
)
def test_names_that_lead_elsewhere(name: str) -> None:
    assert not is_safe(name)
    assert is_safe("20231101.en/train-00000-of-00001.parquet")


def test_a_lock_comes_back_as_it_was(tmp_path: Path) -> None:
    pinned = {
        Repository("dataset", "owner/name"): Pinned(None, COMMIT).with_items(
            [item("en/train-00000-of-00001.parquet")]
        ),
        Repository("model", "owner/name"): Pinned("v1", COMMIT).with_items(
            [item("config.json")], ["*.safetensors"]
        ),
    }
    (tmp_path / "hub.lock").write_text(lock_text(pinned))
    assert read_lock(tmp_path / "hub.lock") == pinned
    assert read_lock(tmp_path / "none") == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda lock: lock.clear(),
        lambda lock: lock.update(format=2),
        lambda lock: lock["datasets"]["owner/name"]["files"].update({"../x": {"size": 1}}),
        lambda lock: lock["datasets"]["owner/name"]["files"]["config.json"].update(sha256="no"),
        lambda lock: lock["datasets"]["owner/name"]["files"]["config.json"].update(size="1"),
        lambda lock: lock["datasets"].update({"owner/name": []}),
    ],
)
def test_a_damaged_lock_is_one_sentence(tmp_path: Path, change) -> None:
    pinned = {Repository("dataset", "owner/name"): Pinned(None, COMMIT).with_items([item("config.json")])}
    lock = json.loads(lock_text(pinned))
    change(lock)
    (tmp_path / "hub.lock").write_text(json.dumps(lock))
    with pytest.raises(UsageError, match="isthmus pin"):
        read_lock(tmp_path / "hub.lock")


# The cache ---------------------------------------------------------------------------------------------------

CONTENTS = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"[]"}


@pytest.fixture
def hub(tmp_path: Path) -> HuggingFace:
    """A cache with one split and one encoder, as fetching leaves it."""
    hub = HuggingFace(tmp_path / "cache", tmp_path / "hub.lock")
    for kind, contents in (("dataset", {"en/train-00000-of-00001.parquet": b"rows"}), ("model", CONTENTS)):
        repository = Repository("dataset" if kind == "dataset" else "model", "owner/name")
        items = [item(local, content) for local, content in contents.items()]
        for one in items:
            hub.path(repository, one).parent.mkdir(parents=True, exist_ok=True)
            hub.path(repository, one).write_bytes(contents[one.local])
        patterns = ["*.safetensors", "tokenizer.json"] if kind == "model" else []
        hub.write_record(repository, Pinned(None, COMMIT).with_items(items, patterns))
    return hub


SPECS = [data(), encoder("*.safetensors", "tokenizer.json"), encoder("tokenizer.json")]


@pytest.mark.parametrize("spec", SPECS)
def test_a_cache_is_a_mirror(hub: HuggingFace, spec: dict) -> None:
    assert hub.contents(spec) is not None
    assert hub.contents(spec) == Mirror(hub.cache).contents(spec)


def test_a_source_with_several_configs_is_the_same_in_both(hub: HuggingFace) -> None:
    spec = data()
    spec["source"]["configs"] = {"a": "en"}
    assert hub.contents(spec) == Mirror(hub.cache).contents(spec)
    assert list(hub.contents(spec) or ()) == ["file/en/train-00000-of-00001.parquet"]


def test_what_is_pinned_is_known_without_the_files(hub: HuggingFace, tmp_path: Path) -> None:
    for spec in SPECS:
        hub.pin(spec)
    hub.write_lock()
    elsewhere = HuggingFace(tmp_path / "other", hub.lock_path)
    assert [elsewhere.contents(spec) for spec in SPECS] == [hub.contents(spec) for spec in SPECS]
    assert elsewhere.missing(data()) == ["owner/name/en/train-00000-of-00001.parquet (4 bytes)"]


def test_what_was_neither_fetched_nor_pinned_is_unknown(hub: HuggingFace) -> None:
    assert hub.contents(data("dev")) is None
    assert hub.contents(encoder("*.model")) is None
    assert hub.contents(data(revision="cd" * 20)) is None


def test_another_commit_in_the_lock_hides_what_lies_there(hub: HuggingFace) -> None:
    other = Pinned(None, "cd" * 20).with_items([item("en/train-00000-of-00001.parquet", b"other rows")])
    hub.lock_path.write_text(lock_text({Repository("dataset", "owner/name"): other}))
    contents = HuggingFace(hub.cache, hub.lock_path).contents(data())
    assert contents == {"file/train-00000-of-00001.parquet": hashlib.sha256(b"other rows").hexdigest()}


# Bundles -----------------------------------------------------------------------------------------------------


def test_a_bundle_brings_everything_elsewhere(hub: HuggingFace, tmp_path: Path) -> None:
    size = bundle(hub, SPECS, tmp_path / "b.tar")
    assert size == (tmp_path / "b.tar").stat().st_size
    (tmp_path / "there").mkdir()
    there = HuggingFace(tmp_path / "there" / "cache", tmp_path / "there" / "hub.lock")
    assert unbundle(tmp_path / "b.tar", there) == (4, 15)
    for spec in SPECS:
        assert there.missing(spec) == []
        assert there.contents(spec) == Mirror(there.cache).contents(spec) == hub.contents(spec)
    assert read_lock(there.lock_path).keys() == {
        Repository("dataset", "owner/name"),
        Repository("model", "owner/name"),
    }
    assert not list((there.cache / ".hub").glob("unbundle*"))


def test_a_bundle_is_the_same_wherever_it_is_made(hub: HuggingFace, tmp_path: Path) -> None:
    bundle(hub, SPECS, tmp_path / "a.tar")
    bundle(hub, SPECS[::-1], tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_bundle_of_less_than_all_is_refused(hub: HuggingFace, tmp_path: Path) -> None:
    (hub.cache / "owner/name/model.safetensors").unlink()
    with pytest.raises(HubError, match=r"owner/name/model.safetensors \(7 bytes\)"):
        bundle(hub, SPECS, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_a_damaged_file_is_not_bundled(hub: HuggingFace, tmp_path: Path) -> None:
    (hub.cache / "owner/name/model.safetensors").write_bytes(b"weightz")
    with pytest.raises(HubError, match="damaged"):
        bundle(hub, SPECS, tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def rewritten(path: Path, change) -> Path:
    """The bundle with its members (name -> TarInfo, content) changed."""
    with tarfile.open(path) as tar:
        members = {m.name: (m, tar.extractfile(m).read()) for m in tar.getmembers()}
    change(members)
    with tarfile.open(path, "w") as tar:
        for member, content in members.values():
            tar.addfile(member, io.BytesIO(content))
    return path


def added(name: str, **attributes: object):
    def change(members: dict) -> None:
        member = tarfile.TarInfo(name)
        for key, value in attributes.items():
            setattr(member, key, value)
        members["more"] = (member, bytes(member.size))

    return change


def replaced(content: bytes):
    def change(members: dict) -> None:
        member, _ = members["owner/name/model.safetensors"]
        member.size = len(content)
        members["owner/name/model.safetensors"] = (member, content)

    return change


def linked(members: dict) -> None:
    member, _ = members["owner/name/model.safetensors"]
    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
    members["owner/name/model.safetensors"] = (member, b"")


HOSTILE = {
    "a step up": (added("../../evil", size=3), "does not name"),
    "an absolute name": (added("/tmp/evil", size=3), "does not name"),
    "a stranger": (added("owner/name/pytorch_model.bin", size=3), "does not name"),
    "a folder": (added("owner", type=tarfile.DIRTYPE), "does not name"),
    "a device": (added("owner/name/dev", type=tarfile.CHRTYPE), "does not name"),
    "a link in the place of a file": (linked, "does not name"),
    "a file twice": (added("owner/name/config.json", size=2), "does not name"),
    "other bytes": (replaced(b"weightz"), "SHA-256"),
    "more bytes": (replaced(b"weights and more"), "16 bytes, not 7"),
    "fewer files": (lambda members: members.pop("owner/name/tokenizer.json"), "lacks 1 files"),
    "no lock": (lambda members: members.pop("hub.lock"), "does not begin with a hub.lock"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_brings_nothing(hub: HuggingFace, tmp_path: Path, name: str) -> None:
    change, said = HOSTILE[name]
    bundle(hub, SPECS, tmp_path / "b.tar")
    rewritten(tmp_path / "b.tar", change)
    there = HuggingFace(tmp_path / "there" / "cache", tmp_path / "there.lock")
    with pytest.raises(DataError, match=said):
        unbundle(tmp_path / "b.tar", there)
    assert [path for path in there.cache.rglob("*") if path.is_file()] == []
    assert not there.lock_path.exists()


@pytest.mark.parametrize("cut", [0, 100, 600, -2000])
def test_a_bundle_that_was_cut(hub: HuggingFace, tmp_path: Path, cut: int) -> None:
    bundle(hub, SPECS, tmp_path / "b.tar")
    with (tmp_path / "b.tar").open("r+b") as file:
        file.truncate(cut if cut >= 0 else 1024 + 1024)
    with pytest.raises(DataError):
        unbundle(tmp_path / "b.tar", HuggingFace(tmp_path / "there", tmp_path / "there.lock"))


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('"config.json": {', '"../../evil": {', "owner/name/../../evil"),
        ("owner/name", "../../there/evil", "../../there/evil/config.json"),
    ],
)
def test_a_lock_in_a_bundle_that_leads_elsewhere(tmp_path: Path, old: str, new: str, name: str) -> None:
    honest = Pinned(None, COMMIT).with_items([item("config.json")])
    text = lock_text({Repository("dataset", "owner/name"): honest}).replace(old, new)
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for called, content in (("hub.lock", text.encode()), (name, b"x")):
            member = tarfile.TarInfo(called)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(UsageError, match="not a lock"):
        unbundle(tmp_path / "b.tar", HuggingFace(tmp_path / "a" / "b" / "cache", tmp_path / "there.lock"))
    assert not list(tmp_path.rglob("*evil*"))


# Settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_offline_is_the_hubs_own_word(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert settings.hub_offline() is offline


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "1e9"])
def test_patience_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ISTHMUS_HUB_PATIENCE", value)
    with pytest.raises(UsageError, match="number of seconds"):
        settings.hub_patience_s()


def test_what_the_lock_says_is_absent_is_not_offered(hub: HuggingFace) -> None:
    hub.note_absent([data("dev")])
    hub.write_lock()
    again = HuggingFace(hub.cache, hub.lock_path)
    assert not again.offers("owner/name", "en", "dev")
    assert again.offers("owner/name", "en", "train")
    assert again.contents(data()) == hub.contents(data())  # a lock of absences alone hides nothing
    again.forget_absent()
    assert again.offers("owner/name", "en", "dev")


def test_a_folder_that_cannot_be_written_is_said(hub: HuggingFace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="ISTHMUS_CACHE"):
        HuggingFace(tmp_path / "file" / "cache", hub.lock_path).supply([data()])
