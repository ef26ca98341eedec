from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from isthmus.data.batch import (
    Epochs,
    by_count,
    by_tokens,
    pad,
    schedule,
    shares,
    specials,
    truncated,
)
from isthmus.data.seeds import stream
from isthmus.errors import DataError

PAPER = {
    "anli": 1_104_934,
    "qqp": 363_846,
    "hellaswag": 39_905,
    "ccg": 38_015,
    "cosmos": 25_588,
    "csqa": 9_741,
}


def test_pairs_are_cut_as_the_tokenizers_library_cuts_them() -> None:
    tokenizer = Tokenizer(WordLevel({"w": 0, "u": 1}, unk_token="u"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    for room in (5, 8):
        tokenizer.enable_truncation(room, strategy="longest_first")
        sizes = [(a, b) for a in range(12) for b in range(12)]
        for a, b in sizes:
            expected = tokenizer.encode(" ".join("w" * a), " ".join("w" * b)).sequence_ids
            kept = truncated(np.array([a]), np.array([b]), room)
            assert (kept[0][0], kept[1][0]) == (expected.count(0), expected.count(1)), (a, b, room)


def test_padding_stands_on_the_right_and_outside_the_mask() -> None:
    ids, mask = pad([[[0], np.array([7, 8]), [2]], [[0], np.array([9]), [2]]], 1)
    assert ids.tolist() == [[0, 7, 8, 2], [0, 9, 2, 1]]
    assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert ids.dtype == mask.dtype == np.int64


def test_no_example_is_lost_when_an_order_is_cut() -> None:
    batches = by_count(stream(1).permutation(10), 4)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(np.concatenate(batches).tolist()) == list(range(10))


def test_token_batches_lose_nothing_and_keep_to_the_budget() -> None:
    lengths = stream(1, "lengths").integers(3, 60, 500)
    lengths[17] = 300  # longer than the budget
    batches = by_tokens(lengths, 256, 1, "epoch", 0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    for batch in batches:
        assert len(batch) == 1 or lengths[batch].max() * len(batch) <= 256
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    assert lengths.sum() / padded > 0.9


def test_token_batches_are_pure_and_come_in_random_order() -> None:
    lengths = stream(1, "lengths").integers(3, 60, 500)
    one, again, other = (by_tokens(lengths, 256, 1, "epoch", n) for n in (0, 0, 1))
    assert [b.tolist() for b in one] == [b.tolist() for b in again] != [b.tolist() for b in other]
    longest = [int(lengths[batch].max()) for batch in one]
    assert longest != sorted(longest)


def test_the_rates_of_a_mixture_are_those_of_the_paper() -> None:
    rates = dict(zip(PAPER, 100 * shares(list(PAPER.values()), 2**17), strict=True))
    expected = {"anli": 34.9, "qqp": 34.9, "hellaswag": 10.6, "ccg": 10.1, "cosmos": 6.8, "csqa": 2.6}
    assert {name: round(float(rate), 1) for name, rate in rates.items()} == expected
    assert shares([30, 10], None).tolist() == [0.75, 0.25]


def test_a_schedule_keeps_the_rates_and_counts_each_tasks_batches() -> None:
    plan = schedule(np.array([0.2, 0.5, 0.3]), 4000, 1)
    assert np.bincount(plan.tasks) / 4000 == pytest.approx([0.2, 0.5, 0.3], abs=0.03)
    for task in range(3):
        assert plan.positions[plan.tasks == task].tolist() == list(range((plan.tasks == task).sum()))


def test_a_schedule_is_pure_and_a_longer_one_begins_with_the_shorter() -> None:
    rates = np.array([0.5, 0.5])
    short, long = schedule(rates, 100, 1), schedule(rates, 200, 1)
    assert (long.tasks[:100] == short.tasks).all() and (long.positions[:100] == short.positions).all()
    assert (schedule(rates, 100, 2).tasks != short.tasks).any()
    assert (schedule(np.array([1.0]), 50, 1).tasks == 0).all()


def test_batches_go_on_from_epoch_to_epoch() -> None:
    def make(epoch: int) -> list[np.ndarray]:
        return by_count(stream(1, epoch).permutation(7 + epoch), 3)

    epochs, jumped = Epochs(make), Epochs(make)
    drawn = [epochs.at(position) for position in range(9)]
    assert [len(batch) for batch in drawn] == [3, 3, 1, 3, 3, 2, 3, 3, 3]
    assert sorted(np.concatenate(drawn[3:6]).tolist()) == list(range(8))
    assert jumped.at(7).tolist() == drawn[7].tolist()  # as after a resume
    assert jumped.at(1).tolist() == drawn[1].tolist()
    assert epochs.per_epoch() == 3


def test_special_tokens_have_xlmrs_ids(world: Path) -> None:
    special = specials(world / "tokenizer")
    assert (special.bos, special.pad, special.eos, special.unk) == (0, 1, 2, 3)
    assert special.mask == special.rows - 1
    assert special.ordinary.tolist() == list(range(4, special.rows - 1))


def test_a_tokenizer_with_other_special_tokens_is_refused(tmp_path: Path) -> None:
    Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match="<mask>"):
        specials(tmp_path)
