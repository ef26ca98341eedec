"""`isthmus check` on the Hugging Face hub: what cannot be had hinders nothing else, and rows are counted."""

import shutil

from tests.faults.test_hub import STUDY, TWIN, XNLI, World, failed, succeeded
from tests.faults.test_hub import world as world


def test_what_the_hub_does_not_give_is_listed_beside_what_is_wrong_with_the_rest(world: World) -> None:
    world.server.fault("api/datasets/facebook", "status", code=404, headers={"X-Error-Code": "RepoNotFound"})
    run = world.isthmus("check", "micro.yaml")
    failed(
        run,
        r"facebook/xnli.*Check the id",
        r"mnli/en train \(nyu-mll/glue mnli train\): it has 80 rows, and 392,702 were published\. Fetch it again",
        r"the encoder enc \(me/encoder\): tokenizer\.json cannot be read",
        code=65,
    )
    world.server.heal()
    again = world.isthmus("check", "micro.yaml")
    failed(again, r"xnli/de dev \(facebook/xnli de validation\): it has 40 rows, and 2,490 were", code=65)
    assert "Check the id" not in again.stderr
    assert "Fetching data/xnli" in again.stdout and "Fetching data/mnli" not in again.stdout


def test_a_hub_that_cannot_be_reached_is_said_once(world: World) -> None:
    world.server.close()
    run = world.isthmus("check", "micro.yaml")
    failed(run, "could not be had from")
    assert run.stderr.count("could not be had from") == 1


def test_what_is_in_the_cache_is_checked_although_the_hub_cannot_be_reached(world: World) -> None:
    succeeded(world.fetch())
    shutil.rmtree(world.cache / "nyu-mll")
    world.server.close()
    run = world.isthmus("check", "micro.yaml")
    failed(
        run,
        "could not be had from",
        r"xnli/de dev \(facebook/xnli de validation\): it has 40 rows, and 2,490 were",
        code=65,
    )
    assert run.stderr.count("could not be had from") == 1
    assert "Fetching data/xnli" in run.stdout and "Fetching data/mnli" not in run.stdout


def test_the_source_that_was_taken_instead_is_not_said_to_be_broken(world: World) -> None:
    (world.path / "mine").mkdir()
    (world.path / "mine" / "twin.yaml").write_text(TWIN.replace("SOURCE", "gone/away"))
    (world.path / "micro.yaml").write_text(STUDY.replace("targets: [xnli]", "targets: [twin]\ntasks: mine"))
    world.server.fault("api/datasets/nyu-mll", "status", code=404, headers={"X-Error-Code": "RepoNotFound"})
    run = world.isthmus("check", "micro.yaml")
    failed(run, r"nyu-mll/glue.*Check the id", r"the encoder enc \(me/encoder\)", code=65)
    assert "gone/away" not in run.stderr
    assert world.lock["datasets"].keys() == {"gone/away", "facebook/xnli"}
    assert world.visible() >= {f"facebook/xnli/{name}" for name in XNLI if not name.startswith("fr")}
    # What no source has is looked for again, from the first on.
    world.server.heal()
    succeeded(world.fetch())
    assert world.lock["datasets"]["nyu-mll/glue"]["absent"] == []


def test_a_source_that_is_there_again_is_read_first(world: World) -> None:
    (world.path / "mine").mkdir()
    (world.path / "mine" / "twin.yaml").write_text(TWIN.replace("SOURCE", "gone/away"))
    (world.path / "micro.yaml").write_text(STUDY.replace("targets: [xnli]", "targets: [twin]\ntasks: mine"))
    world.server.fault("api/datasets/facebook", "status", code=404, headers={"X-Error-Code": "RepoNotFound"})
    failed(world.fetch(), r"gone/away.*Check the id")
    assert world.lock["datasets"].keys() == {"nyu-mll/glue"}
    world.server.dataset("gone/away", XNLI)
    succeeded(world.fetch())
    assert world.lock["datasets"].keys() == {"gone/away", "nyu-mll/glue"}
