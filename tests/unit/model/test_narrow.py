import pytest
import torch

from isthmus.model import encoder as encoders
from isthmus.model import narrow
from tests.unit.model.test_packing import KINDS, LENGTHS, batch, distance, gradients, model

WIDTH = max(LENGTHS)
FIRSTS = torch.arange(len(LENGTHS)) * WIDTH
SOME = torch.tensor([0, 5, 29, 31, 60, 71, 100, 150])
NARROWED = ("xlm-roberta", "xlm-roberta-xl", "bert")
PADDED = {name: value[:2] for name, value in batch([12, 12]).items()}


def rows_of_last_layer(encoder) -> list[int]:
    """How many tokens the module after the last attention sees, call after call."""
    seen: list[int] = []
    encoder.encoder.layer[-1].output.register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[0].shape[1])
    )
    return seen


@pytest.mark.parametrize("cells", [FIRSTS, SOME], ids=["firsts", "some"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_states_and_gradients_are_those_of_the_whole_layer(kind: str, checkpointing: bool, cells) -> None:
    ours, theirs = (model(kind, KINDS[kind][1]).train() for _ in range(2))
    if checkpointing:
        encoders.checkpoint_layers(ours)
    mine = encoders.states_at(ours, batch(), cells)
    other = encoders.hidden_states(theirs, batch()).flatten(0, 1)[cells]
    tolerance = 1e-10 if kind != "eurobert" else 1e-5
    assert mine.shape == (len(cells), 16) and distance(mine, other) < tolerance
    one, two = gradients(ours, mine), gradients(theirs, other)
    largest = max(g.abs().max() for g in two.values())
    assert one.keys() == two.keys() and all(
        (one[name] - two[name]).abs().max() < tolerance * largest for name in one
    )


@pytest.mark.parametrize("given", [batch(), PADDED], ids=["packed", "without padding"])
@pytest.mark.parametrize("kind", NARROWED)
def test_the_last_layer_sees_what_is_read(kind: str, given) -> None:
    encoder = model(kind, KINDS[kind][1]).train()
    encoders.first_states(encoder, given)  # tries
    seen = rows_of_last_layer(encoder)
    rows = len(given["input_ids"])
    states = encoders.first_states(encoder, given)
    assert seen == [rows]
    # Afterwards everything is there again, however the encoder is called.
    whole = encoders.hidden_states(encoder, given)
    assert distance(states, whole[:, 0]) < 1e-12
    assert encoder(given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state.shape == (
        *given["input_ids"].shape,
        16,
    )


def test_checkpointing_leaves_nothing_behind() -> None:
    encoder = model("xlm-roberta", KINDS["xlm-roberta"][1]).train()
    encoders.checkpoint_layers(encoder)
    encoders.first_states(encoder, batch()).sum().backward()
    assert encoders.hidden_states(encoder, batch()).shape == (len(LENGTHS), WIDTH, 16)
    assert len(encoders.all_hidden_states(encoder, batch())) == 4


def test_most_of_the_tokens_are_not_worth_choosing() -> None:
    encoder = model("xlm-roberta", KINDS["xlm-roberta"][1])
    seen = rows_of_last_layer(encoder)
    cells = batch()["attention_mask"].flatten().nonzero().squeeze(1)[2:]
    encoders.states_at(encoder, batch(), cells)
    assert seen[-1] == sum(LENGTHS)


def test_an_encoder_that_would_give_other_states_runs_whole() -> None:
    encoder = model("bert", KINDS["bert"][1]).eval()
    end = encoder.encoder.layer[-1].output
    # A layer that looks at its neighbours after attention.
    end.register_forward_hook(lambda _, __, output: output + output.mean(1, keepdim=True))
    expected = encoders.hidden_states(encoder, batch()).flatten(0, 1)[SOME]
    assert distance(encoders.states_at(encoder, batch(), SOME), expected) < 1e-12
    assert narrow._hooks[encoder] is None


def test_the_trial_draws_no_random_number_and_keeps_the_mode() -> None:
    encoder = model("xlm-roberta", KINDS["xlm-roberta"][1]).train()
    before = torch.get_rng_state()
    encoders.first_states(encoder, batch())
    assert torch.equal(torch.get_rng_state(), before) and encoder.training
