"""What lies between this machine and the hub: certificates, proxies, bytes that come packed; and a disk that fills up."""

import hashlib
import re
import resource
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.faults.test_hub import ENCODER, GLUE, STUDY, XNLI, World, failed, succeeded
from tests.hub_server import HubServer


def world_of(server: HubServer, folder: Path) -> World:
    server.dataset("nyu-mll/glue", GLUE)
    server.dataset("facebook/xnli", XNLI)
    server.model("me/encoder", ENCODER)
    (folder / "micro.yaml").write_text(STUDY)
    return World(server, folder)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    server = HubServer()
    yield world_of(server, tmp_path)
    server.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of this machine's own that nobody else vouches for, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    path, key = tmp_path / "own.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = HubServer(context=context)
    try:
        world = world_of(server, tmp_path)
        run = world.fetch(ISTHMUS_HUB_PATIENCE="60")
        failed(run, "certificate is not believed", "SSL_CERT_FILE", "CERTIFICATE_VERIFY_FAILED")
        assert "Trying again" not in run.stdout  # asking again does not help
        assert server.requests == []
        succeeded(world.fetch(SSL_CERT_FILE=str(certificate)))
        world.is_whole()
    finally:
        server.close()


def test_a_server_that_does_not_speak_tls(world: World) -> None:
    failed(
        world.fetch(HF_ENDPOINT=world.server.endpoint.replace("http:", "https:")), "could not be had", "SSL"
    )


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_leads_nowhere(world: World, name: str) -> None:
    dead = "http://me:hidden@127.0.0.1:9"
    run = world.fetch(HF_ENDPOINT="http://hub.invalid", **{name: dead})
    failed(run, "could not be had from http://hub.invalid", f"the proxy that {name} names")
    assert "hidden" not in run.stdout + run.stderr


def test_a_proxy_that_is_passed_by_is_not_blamed(world: World) -> None:
    world.server.close()
    run = world.fetch(HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1")
    failed(run, "could not be had")
    assert "proxy that" not in run.stderr


def test_bytes_that_come_packed(world: World) -> None:
    world.server.fault("large/|resolve/", "packed")
    succeeded(world.fetch())
    world.is_whole()


def test_a_file_that_goes_on_packed_begins_anew(world: World) -> None:
    world.server.fault("large/", "truncate", times=1, after=700)
    world.server.fault("large/", "packed part", times=1)
    run = world.fetch()
    succeeded(run)
    assert "it packs what it sends" in run.stdout
    world.is_whole()


@pytest.mark.parametrize("code", [408, 416])
def test_answers_that_pass(world: World, code: int) -> None:
    world.server.fault("large/", "status", times=1, code=code)
    run = world.fetch()
    succeeded(run)
    assert "Trying again in" in run.stdout
    world.is_whole()


def test_what_is_gone_for_good(world: World) -> None:
    world.server.fault("large/", "status", code=410)
    failed(world.fetch(), r"does not have .* \(410\)", "Check the id")
    world.visible()


LIMITED = (
    "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
    "runpy.run_module('isthmus', run_name='__main__', alter_sys=True)"
)


@pytest.mark.parametrize("archive", [False, True])
def test_a_disk_that_fills_up_on_the_way(world: World, archive: bool) -> None:
    """A limit on the size of a file stands for it: the write fails as it would, in the middle of a file."""
    limit = 6000
    assert max(map(len, (*GLUE.values(), *XNLI.values()))) < limit < len(ENCODER["model.safetensors"])
    assert resource.RLIMIT_FSIZE
    if archive:
        add_archive(world)
    command = [sys.executable, "-c", LIMITED.format(limit), "fetch", "micro.yaml"]
    settings = {"HF_ENDPOINT": world.server.endpoint, "HF_HOME": str(world.path / "home")}
    run = subprocess.run(
        command,
        cwd=world.path,
        env={**environment(), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 74, run.stdout + run.stderr
    assert re.search(r"could not be written: .*File too large.*free space", run.stderr), run.stderr
    assert "Traceback" not in run.stderr
    if (world.path / "hub.lock").exists():  # what came whole before is pinned
        assert "model.safetensors" not in world.lock["models"].get("me/encoder", {}).get("files", {})
        assert "archives/words" not in world.lock["datasets"]
    assert not list((world.cache / "archives").rglob("*.parquet"))
    assert not (world.cache / "me/encoder/model.safetensors").exists()
    succeeded(world.fetch())
    if archive:
        assert (world.cache / "archives/words/words.tsv").read_bytes() == world.server.files["words.tsv"]


def add_archive(world: World) -> None:
    """Have the study read files at an address, too."""
    world.server.files["words.tsv"] = b"a\tb\tlabel\n" + b"one\ttwo\tno\n" * 1000
    (world.path / "mine").mkdir()
    (world.path / "mine" / "words.yaml").write_text(
        "task: words\nfamily: classify\ntitle: Words\nmetric: accuracy\nlanguages: [en]\nsources:\n"
        f"  - {{hub: archives/words, url: {world.server.endpoint}/words.tsv, format: tsv, splits: {{train: train, dev: dev, test: test}}}}\n"
        'columns: {text_a: a, text_b: b, label: label}\nlabels: ["no", "yes"]\n'
    )
    text = STUDY.replace("targets: [xnli]", "targets: [words]\ntasks: mine").replace("[en, de]", "[en]")
    (world.path / "micro.yaml").write_text(text)


def test_a_file_of_unknown_size_is_given_the_time_that_its_size_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six bytes that come 0.3 s apart, with 1 s of patience: what is known of the size only when it comes counts as well."""
    from isthmus.errors import HubError
    from isthmus.hubs import transfer
    from isthmus.hubs.host import Host

    monkeypatch.setenv("ISTHMUS_HUB_PATIENCE", "1")
    server = HubServer()
    try:
        server.files["slow.tsv"] = b"0123456789abcdef"
        server.fault("slow", "drip", after=10)
        url = f"{server.endpoint}/slow.tsv"
        with pytest.raises(HubError, match="too slowly"):
            Host(server.endpoint).download(url, tmp_path / "a" / "part", None, None)
        monkeypatch.setattr(transfer, "SLOWEST", 1)
        sha256 = Host(server.endpoint).download(url, tmp_path / "b" / "part", None, None)
        assert sha256 == hashlib.sha256(server.files["slow.tsv"]).hexdigest()
        assert [path.name for path in (tmp_path / "b").iterdir()] == ["part"]
    finally:
        server.close()
