"""The Hugging Face hub misbehaves: the real client against a server on loopback, with a cold cache each time.

After every failure nothing that is not whole is visible, the message says what, where and how to mend it, and the same
command succeeds once the hub is well again.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import environment
from tests.hub_server import HubServer

STUDY = """\
study: micro
question: Does anything break?
hub: huggingface
encoders: {enc: {from: me/encoder}}
arms: {none: []}
targets: [xnli]
languages: [en, de]
"""
CARD = """\
---
configs:
- config_name: mnli
  data_files:
  - split: train
    path: mnli/train-*
  - split: validation_matched
    path: mnli/validation_matched-*
---
"""
SECRET = "hf_notToBeSeenAnywhere"
TRAIN = "mnli/train-00000-of-00002.parquet"


def pairs(start: int, rows: int = 40) -> bytes:
    """A parquet file of sentence pairs."""
    numbers = range(start, start + rows)
    texts = {name: [f"{name} {number} says that" for number in numbers] for name in ("premise", "hypothesis")}
    target = io.BytesIO()
    pq.write_table(pa.table({**texts, "label": [number % 3 for number in numbers]}), target)
    return target.getvalue()


GLUE = {
    "README.md": CARD.encode(),
    TRAIN: pairs(0),
    "mnli/train-00001-of-00002.parquet": pairs(40),
    "mnli/validation_matched-00000-of-00001.parquet": pairs(100),
}
XNLI = {
    f"{language}/{split}-00000-of-00001.parquet": pairs(start)
    for start, (language, split) in enumerate(
        ((language, split) for language in ("de", "en", "fr") for split in ("test", "validation")), start=200
    )
}
ENCODER = {
    "config.json": b'{"model_type": "xlm-roberta"}',
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(range(256)) * 40,
    "pytorch_model.bin": b"a pickle",
    "modeling_own.py": b"raise SystemExit",
}


@dataclass
class World:
    """A working folder with a study, and a hub."""

    server: HubServer
    path: Path

    @property
    def cache(self) -> Path:
        return self.path / "results" / "hub"

    @property
    def lock(self) -> dict:
        return json.loads((self.path / "hub.lock").read_text())

    def isthmus(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess:
        proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
        settings = {
            "HF_ENDPOINT": self.server.endpoint,
            "HF_HOME": str(self.path / "home"),
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            "HF_TOKEN": SECRET,
            "ISTHMUS_HUB_PATIENCE": "2",
        }
        run = subprocess.run(
            [sys.executable, "-m", "isthmus", *arguments],
            cwd=self.path,
            env={**environment(), **proxies, **settings, **changes},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert SECRET not in run.stdout + run.stderr
        assert "Traceback" not in run.stderr, run.stderr
        return run

    def fetch(self, **changes: str) -> subprocess.CompletedProcess:
        return self.isthmus("fetch", "micro.yaml", **changes)

    def visible(self) -> set[str]:
        """The files that the cache shows; every one of them is whole."""
        found = {}
        for path in self.cache.rglob("*"):
            name = path.relative_to(self.cache)
            if path.is_file() and name.parts[0] != ".hub":
                found[name.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
        contents = {
            f"{id}/{name}": hashlib.sha256(content).hexdigest()
            for (_, id), repo in self.server.repos.items()
            for commit in repo.commits.values()
            for name, content in commit.items()
        }
        assert {name: contents.get(name) for name in found} == found
        return set(found)

    def is_whole(self) -> None:
        """Assert that the cache has all that the study reads, and nothing else."""
        wanted = {f"nyu-mll/glue/{name}" for name in GLUE if name != "README.md"}
        wanted |= {f"facebook/xnli/{name}" for name in XNLI if not name.startswith("fr")}
        wanted |= {f"me/encoder/{name}" for name in ("config.json", "tokenizer.json", "model.safetensors")}
        assert self.visible() == wanted


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    server = HubServer()
    server.dataset("nyu-mll/glue", GLUE)
    server.dataset("facebook/xnli", XNLI)
    server.model("me/encoder", ENCODER)
    (tmp_path / "micro.yaml").write_text(STUDY)
    yield World(server, tmp_path)
    server.close()


def failed(run: subprocess.CompletedProcess, *said: str, code: int = 69) -> None:
    """Assert that a run ended with the code, and said why on standard error."""
    assert run.returncode == code, run.stdout + run.stderr
    for text in said:
        assert re.search(text, run.stderr), run.stderr


def succeeded(run: subprocess.CompletedProcess) -> None:
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_healthy_hub(world: World) -> None:
    succeeded(world.fetch())
    world.is_whole()
    assert world.lock["datasets"].keys() == {"nyu-mll/glue", "facebook/xnli"}
    assert (
        world.lock["models"]["me/encoder"]["revision"]
        == world.server.repos["models", "me/encoder"].branches["main"]
    )
    assert world.server.asked(r"pytorch_model|modeling") == []
    # The token goes to the hub, and to nobody whom the hub names.
    assert all(headers.get("authorization") for _, _, headers in world.server.asked("/resolve/"))
    assert not any(headers.get("authorization") for _, _, headers in world.server.asked("^/large/"))


def test_nothing_is_asked_when_all_is_there(world: World) -> None:
    succeeded(world.fetch())
    world.server.requests.clear()
    succeeded(world.fetch())
    (world.path / "hub.lock").unlink()
    succeeded(world.fetch(HF_HUB_OFFLINE="1"))
    assert world.server.requests == []
    assert "datasets" in world.lock


PASSING = {
    "busy with seconds": ("api/datasets", "status", {"code": 429, "headers": {"Retry-After": "1"}}),
    "busy with the hub's header": (
        "api/datasets",
        "status",
        {"code": 429, "headers": {"RateLimit": '"api";r=0;t=1'}},
    ),
    "busy without a time": ("resolve/.*train", "status", {"code": 429}),
    "down": ("resolve/.*train", "status", {"code": 500}),
    "bad gateway": ("api/models", "status", {"code": 502, "body": b"<html>"}),
    "store of large files down": ("large/", "status", {"code": 503}),
    "truncated": ("large/", "truncate", {"after": 100}),
    "cut off": ("large/", "cut", {"after": 100}),
    "stalled": ("large/", "stall", {"after": 100}),
    "listing cut off": ("tree/", "reset", {}),
    "wrong bytes once": ("large/", "wrong", {}),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_waited_for(world: World, name: str) -> None:
    path, kind, options = PASSING[name]
    world.server.fault(path, kind, times=1, **options)
    run = world.fetch()
    succeeded(run)
    assert re.search(r"Trying again in \d|once more from its beginning", run.stdout)
    if "headers" in options:
        assert re.search(r"Trying again in 1\.\d s", run.stdout)
    world.is_whole()


FATAL = {
    "gated": (
        "api/datasets/nyu-mll",
        "status",
        {"code": 403, "headers": {"X-Error-Code": "GatedRepo"}},
        ["nyu-mll/glue", "accept the terms", "HF_TOKEN"],
    ),
    "gated files": (
        "resolve/.*train",
        "status",
        {"code": 401, "headers": {"X-Error-Code": "GatedRepo"}},
        ["mnli/train", "accept the terms"],
    ),
    "private": ("api/models", "status", {"code": 401}, ["me/encoder", "private", "HF_TOKEN"]),
    "forbidden": ("api/models", "status", {"code": 403}, ["me/encoder", "firewall"]),
    "gone": (
        "api/datasets/facebook",
        "status",
        {"code": 404, "headers": {"X-Error-Code": "RepoNotFound"}},
        ["facebook/xnli", "Check the id"],
    ),
    "always busy": ("api/datasets", "status", {"code": 429}, ["429", "ISTHMUS_HUB_PATIENCE"]),
    "busy for too long": (
        "api/datasets",
        "status",
        {"code": 429, "headers": {"Retry-After": "9999"}},
        ["asks to wait 9999 s"],
    ),
    "always down": ("resolve/.*train", "status", {"code": 503}, ["503", "isthmus fetch STUDY"]),
    "always truncated": ("large/", "truncate", {"after": 0}, ["ended|closed", "goes on from there"]),
    "always reset": ("api/", "reset", {}, ["Check the network"]),
    "silent": ("api/", "hang", {}, ["nothing came for 1 s"]),
    "dripping": ("large/", "drip", {"after": 10}, ["too slowly"]),
    "wrong bytes": ("large/", "wrong", {}, ["right length", "wrong bytes, twice"]),
    "wrong bytes of a small file": ("resolve/.*config.json", "wrong", {}, ["config.json", "wrong bytes"]),
    "too many bytes": ("resolve/.*train", "longer", {}, ["more bytes"]),
    "a page for a file": ("resolve/.*train", "page", {}, ["web page", "mnli/train", "HF_ENDPOINT"]),
    "a page called data": (
        "resolve/.*train",
        "page",
        {"type": "application/octet-stream"},
        ["web page", "mnli/train"],
    ),
    "a page for a listing": ("api/", "page", {}, ["not what the hub says", "HF_ENDPOINT"]),
    "a pointer": ("resolve/.*train", "pointer", {}, ["LFS", "mnli/train"]),
    "another commit": ("resolve/.*train", "moved", {}, ["ffffffff", "two revisions"]),
}


@pytest.mark.parametrize("name", FATAL)
def test_what_does_not_pass_is_said_and_leaves_nothing_half_visible(world: World, name: str) -> None:
    path, kind, options, said = FATAL[name]
    world.server.fault(path, kind, **options)
    failed(world.fetch(), *said)
    shown = world.visible()
    if (world.path / "hub.lock").exists():  # what came whole is pinned, and nothing else
        entries = [*world.lock["datasets"].items(), *world.lock["models"].items()]
        assert {f"{name}/{file}" for name, entry in entries for file in entry["files"]} == shown
        assert not any(entry["absent"] for _, entry in entries)
    if "train" in path:  # the first shard failed: neither it nor its sibling is shown
        assert not any(file.startswith("nyu-mll/glue/mnli/train") for file in shown)
    world.server.heal()
    succeeded(world.fetch())
    world.is_whole()


def test_no_server_at_all(world: World) -> None:
    world.server.close()
    failed(world.fetch(), "could not be had from", "isthmus fetch STUDY", "login node")


def test_no_such_host(world: World) -> None:
    failed(world.fetch(HF_ENDPOINT="http://hub.invalid"), "hub.invalid", "Check the network")


def test_a_date_to_come_back_at_is_heeded(world: World) -> None:
    later = {"Retry-After": formatdate(time.time() + 9999, usegmt=True)}
    world.server.fault("api/datasets", "status", code=503, headers=later)
    failed(world.fetch(), r"asks to wait 99\d\d s")
    assert len(world.server.asked("api/datasets")) == 1


def test_a_transfer_goes_on_where_it_ended(world: World) -> None:
    world.server.fault("large/", "truncate", times=1, after=700)
    world.server.fault("large/", "status", code=503)
    failed(world.fetch(), "goes on from there")
    world.server.heal()
    world.server.requests.clear()
    succeeded(world.fetch())
    assert [h["range"] for _, _, h in world.server.asked("^/large/") if "range" in h] == ["bytes=700-"]
    world.is_whole()


def test_a_server_that_ignores_where_to_go_on(world: World) -> None:
    world.server.fault("large/", "truncate", times=1, after=700)
    world.server.fault("large/", "deaf", times=1)
    succeeded(world.fetch())
    world.is_whole()


def test_a_damaged_part_is_not_believed(world: World) -> None:
    world.server.fault("large/", "truncate", times=1, after=700)
    world.server.fault("large/", "status", code=503)
    failed(world.fetch())
    world.server.heal()
    part = next((world.cache / ".hub" / "partial").rglob("*.parquet"))
    part.write_bytes(bytes(700))
    succeeded(world.fetch())
    world.is_whole()


def test_a_damaged_file_in_the_cache_is_fetched_again(world: World) -> None:
    succeeded(world.fetch())
    path = world.cache / "nyu-mll" / "glue" / TRAIN
    path.write_bytes(bytes(path.stat().st_size))
    succeeded(world.fetch())
    world.is_whole()


def test_all_that_cannot_be_had_is_named_at_once(world: World) -> None:
    world.server.fault("api/datasets/facebook", "status", code=404)
    world.server.fault("api/models", "status", code=401)
    failed(world.fetch(), "facebook/xnli", "me/encoder")


def test_offline_with_part_of_it_names_every_missing_file(world: World) -> None:
    succeeded(world.fetch())
    lost = [
        "nyu-mll/glue/" + TRAIN,
        "facebook/xnli/de/test-00000-of-00001.parquet",
        "me/encoder/tokenizer.json",
    ]
    for name in lost:
        (world.cache / name).unlink()
    world.server.requests.clear()
    for command in ("fetch", "plan"):
        failed(world.isthmus(command, "micro.yaml", HF_HUB_OFFLINE="1"), *map(re.escape, lost))
    assert world.server.requests == []
    succeeded(world.fetch())
    world.is_whole()


def test_offline_and_cold(world: World) -> None:
    failed(world.fetch(HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE", "nyu-mll/glue/mnli/train", "me/encoder")
    assert world.server.requests == []


def test_a_lock_keeps_a_study_at_its_commits(world: World) -> None:
    succeeded(world.fetch())
    before = world.lock
    glue = world.server.repos["datasets", "nyu-mll/glue"]
    newest = glue.push({**GLUE, TRAIN: pairs(500)})
    shutil.rmtree(world.cache)
    succeeded(world.fetch())
    assert world.lock == before
    assert newest not in json.dumps(before)
    run = world.isthmus("pin", "micro.yaml")
    succeeded(run)
    assert f"to {newest}; the lock keeps the former" in run.stdout
    assert world.lock == before
    succeeded(world.isthmus("pin", "micro.yaml", "--update"))
    assert world.lock["datasets"]["nyu-mll/glue"]["revision"] == newest
    succeeded(world.fetch())
    content = (world.cache / "nyu-mll" / "glue" / TRAIN).read_bytes()
    assert content == glue.commits[newest][TRAIN]


def test_a_commit_that_the_hub_forgot(world: World) -> None:
    succeeded(world.isthmus("pin", "micro.yaml"))
    glue = world.server.repos["datasets", "nyu-mll/glue"]
    old = glue.branches["main"]
    glue.push({**GLUE, "more.txt": b"more"})
    del glue.commits[old]
    failed(world.fetch(), old, "no such revision", "pin STUDY --update")
    succeeded(world.isthmus("pin", "micro.yaml", "--update"))
    succeeded(world.fetch())
    world.is_whole()


def test_a_split_with_fewer_files_leaves_none_of_the_older_ones(world: World) -> None:
    succeeded(world.fetch())
    whole = {"README.md": GLUE["README.md"], "mnli/train-00000-of-00001.parquet": pairs(0, 80)}
    whole["mnli/validation_matched-00000-of-00001.parquet"] = pairs(100)
    world.server.repos["datasets", "nyu-mll/glue"].push(whole)
    succeeded(world.isthmus("pin", "micro.yaml", "--update"))
    succeeded(world.fetch())
    names = {name for name in world.visible() if "/train-" in name}
    assert names == {"nyu-mll/glue/mnli/train-00000-of-00001.parquet"}


def test_what_is_no_parquet_comes_from_the_hubs_own_copy(world: World) -> None:
    repo = world.server.dataset("facebook/xnli", {"xnli.py": b"raise SystemExit"})
    names = {name: name.replace("-00000-of-00001", "/0000") for name in XNLI}
    repo.push({names[name]: content for name, content in XNLI.items()}, branch="refs/convert/parquet")
    (world.path / "micro.yaml").write_text(STUDY.replace("[en, de]", "[en]"))
    succeeded(world.fetch())
    copy = repo.branches["refs/convert/parquet"]
    repo.push({"en/test/0000.parquet": pairs(900)}, branch="refs/convert/parquet")
    (world.path / "micro.yaml").write_text(STUDY)
    succeeded(world.fetch())  # what was added later is of the same copy
    found = (world.cache / "facebook/xnli/de/test-00000-of-00001.parquet").read_bytes()
    assert found == XNLI["de/test-00000-of-00001.parquet"]
    files = world.lock["datasets"]["facebook/xnli"]["files"]
    assert {entry["revision"] for entry in files.values()} == {copy}


def test_a_split_that_the_hub_does_not_have(world: World) -> None:
    world.server.dataset("facebook/xnli", {name: XNLI[name] for name in XNLI if name.startswith("en")})
    failed(
        world.fetch(), "facebook/xnli has no parquet files of config de, split validation", "Its configs: en"
    )


TWIN = """\
task: twin
family: classify
title: Twin
metric: accuracy
trains_on: mnli
languages: [en, de]
sources:
  - {hub: SOURCE, config: "{language}", splits: {dev: validation, test: test}}
  - {hub: facebook/xnli, config: "{language}", splits: {dev: validation, test: test}}
columns: {text_a: premise, text_b: hypothesis, label: label}
labels: [entailment, neutral, contradiction]
"""


@pytest.mark.parametrize("first", ["gone/away", "me/script"])
def test_where_the_first_source_is_gone_the_next_one_is_read(world: World, first: str) -> None:
    world.server.dataset("me/script", {"script.py": b"raise SystemExit"})
    (world.path / "mine").mkdir()
    (world.path / "mine" / "twin.yaml").write_text(TWIN.replace("SOURCE", first))
    study = STUDY.replace("targets: [xnli]", "targets: [twin]\ntasks: mine")
    (world.path / "micro.yaml").write_text(study)
    _, document, receipt = next(job for job in jobs(world) if "data/twin" in job[2])
    failed(
        world.isthmus("stage", "fetch", "--job", document, "--receipt", receipt), first, "isthmus fetch STUDY"
    )
    succeeded(world.fetch())
    world.is_whole()
    assert world.lock["datasets"][first]["absent"] == ["de/test", "de/validation", "en/test", "en/validation"]
    for stage, document, receipt in jobs(world):
        succeeded(world.isthmus("stage", stage, "--job", document, "--receipt", receipt))
    # Once the first source is there, a study stays with what it has until it is told otherwise.
    world.server.dataset(first, XNLI)
    succeeded(world.isthmus("pin", "micro.yaml"))
    assert jobs(world) == []
    succeeded(world.isthmus("pin", "micro.yaml", "--update"))
    assert world.lock["datasets"][first]["absent"] == []
    assert len(world.lock["datasets"][first]["files"]) == 4


def test_two_at_once_ask_once(world: World) -> None:
    command = [sys.executable, "-m", "isthmus", "fetch", "micro.yaml"]
    settings = {"HF_ENDPOINT": world.server.endpoint, "HF_HOME": str(world.path / "home")}
    runs = [
        subprocess.Popen(
            command, cwd=world.path, env={**environment(), **settings}, stdout=subprocess.DEVNULL
        )
        for _ in range(2)
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    large = [path for _, path, _ in world.server.asked("^/large/")]
    assert len(large) == len(set(large))
    world.is_whole()


RESOLVE = """
from pathlib import Path
from isthmus.plan import Plan
plan = Plan.of(Path("micro.yaml"))
for job in plan.resolve():
    if job.stage in ("fetch", "encoder"):
        print(job.stage, plan.document(job), plan.receipt(job))
"""


def jobs(world: World, **changes: str) -> list[list[str]]:
    """The jobs that a plan leaves to be run and that read the hub: stage, document, receipt."""
    settings = {"HF_ENDPOINT": world.server.endpoint, **changes}
    run = subprocess.run(
        [sys.executable, "-c", RESOLVE],
        cwd=world.path,
        env={**environment(), **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split() for line in run.stdout.splitlines()]


def test_a_run_fetches_what_it_reads(world: World) -> None:
    assert sorted(stage for stage, _, _ in jobs(world)) == ["encoder", "fetch", "fetch"]
    assert world.server.requests == []  # a plan asks nothing
    for stage, document, receipt in jobs(world):
        succeeded(world.isthmus("stage", stage, "--job", document, "--receipt", receipt))
    assert jobs(world) == []
    world.is_whole()
    # What was made is known by its content: the same files in a mirror are no other result.
    shutil.copytree(world.cache, world.path / "mirror")
    study = world.path / "micro.yaml"
    study.write_text(study.read_text().replace("hub: huggingface", "hub: ./mirror"))
    assert jobs(world) == []


def test_real_data_by_the_hub_is_what_a_mirror_of_it_gives(world: World, mirror: Path) -> None:
    """Two retrieval targets of many configs, and one of its own training data."""
    study = STUDY.replace("targets: [xnli]", "targets: [tatoeba, pawsx]").replace(
        "[en, de]", "[en, de, sw, zh]"
    )
    (world.path / "micro.yaml").write_text(study)
    for id in ("google/xtreme", "mteb/tatoeba-bitext-mining", "google-research-datasets/paws-x"):
        world.server.dataset_of(mirror, id)
    world.server.page = 50
    for stage, document, receipt in jobs(world):
        succeeded(world.isthmus("stage", stage, "--job", document, "--receipt", receipt))
    (world.path / "micro.yaml").write_text(study.replace("hub: huggingface", f"hub: {mirror}"))
    shutil.rmtree(world.path / "results" / "micro")  # so that the store is known by content, not by receipts
    assert [stage for stage, _, _ in jobs(world)] == ["encoder"]  # which the mirror does not have
    world.visible()


def test_a_job_whose_fetch_fails_publishes_nothing(world: World) -> None:
    world.server.fault("large/", "wrong")
    for stage, document, receipt in jobs(world):
        failed(world.isthmus("stage", stage, "--job", document, "--receipt", receipt), "wrong bytes")
        assert not (world.path / receipt).exists()
    assert not (world.path / "results" / "store").exists()
    world.visible()
    world.server.heal()
    for stage, document, receipt in jobs(world):
        succeeded(world.isthmus("stage", stage, "--job", document, "--receipt", receipt))
    assert jobs(world) == []


def test_what_was_fetched_stays_when_the_cache_is_gone(world: World) -> None:
    succeeded(world.fetch())
    for stage, document, receipt in jobs(world):
        succeeded(world.isthmus("stage", stage, "--job", document, "--receipt", receipt))
    shutil.rmtree(world.cache)
    world.server.close()
    assert jobs(world) == []
    assert jobs(world, HF_HUB_OFFLINE="1") == []
    shutil.rmtree(world.path / "results" / "micro")  # the receipts: by the lock, the store is still known
    assert jobs(world) == []


def test_a_cluster_without_a_network(world: World, tmp_path: Path) -> None:
    failed(world.isthmus("bundle", "micro.yaml", "b.tar"), "nyu-mll/glue/mnli/train", "isthmus fetch STUDY")
    succeeded(world.fetch())
    succeeded(world.isthmus("bundle", "micro.yaml", "b.tar"))
    (tmp_path / "cluster").mkdir()
    there = World(world.server, tmp_path / "cluster")
    for name in ("micro.yaml", "b.tar"):
        shutil.copy(world.path / name, there.path / name)
    world.server.requests.clear()
    succeeded(there.isthmus("unbundle", "micro.yaml", "b.tar", HF_HUB_OFFLINE="1"))
    assert there.lock == world.lock
    there.is_whole()
    for stage, document, receipt in jobs(there, HF_HUB_OFFLINE="1"):
        arguments = ("stage", stage, "--job", document, "--receipt", receipt)
        succeeded(there.isthmus(*arguments, HF_HUB_OFFLINE="1"))
    assert jobs(there) == []
    assert world.server.requests == []


def test_a_study_of_another_hub_has_nothing_to_fetch(world: World) -> None:
    (world.path / "other.yaml").write_text(STUDY.replace("hub: huggingface", "hub: ./mirror"))
    failed(world.isthmus("fetch", "other.yaml"), "does not read the Hugging Face hub", code=2)
