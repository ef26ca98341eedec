import numpy as np

from isthmus.data.seeds import number, stream


def test_the_same_names_give_the_same_numbers() -> None:
    assert (stream(1, "order", 3).random(5) == stream(1, "order", 3).random(5)).all()
    assert number(1, "dropout", 7) == number(1, "dropout", 7)


def test_other_seeds_and_names_give_other_numbers() -> None:
    names = [(1, "a"), (2, "a"), (1, "b"), (1, "a", 0), ("1", "a"), (1, "ab", "c"), (1, "a", "bc")]
    assert len({number(*name) for name in names}) == len(names)
    first = [stream(*name).random() for name in names]
    assert len(np.unique(first)) == len(names)


def test_numbers_are_what_torch_takes_as_a_seed() -> None:
    assert all(0 <= number(seed) < 2**63 for seed in range(50))
