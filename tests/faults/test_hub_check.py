"""`isthmus check` on the Hugging Face hub: what cannot be had hinders nothing else, and rows are counted."""

from tests.faults.test_hub import World, failed
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
