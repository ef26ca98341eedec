import dataclasses
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from isthmus.data import switch
from isthmus.data.batch import Specials
from isthmus.data.seeds import stream
from isthmus.families import mlm
from isthmus.recipe import full

SPECIALS = Specials(bos=0, pad=1, eos=2, unk=3, mask=49, rows=50)
IDS = pa.list_(pa.int32())


def table(texts: list[list[int]], pairs: list[list[int] | None] | None = None) -> pa.Table:
    pairs = pairs or [None] * len(texts)
    return pa.table({"ids": pa.array(texts, IDS), "pair": pa.array(pairs, IDS)})


def recipe(**changes):
    return full({"max_length": 12, "batch_size": 8, **changes})


def rows(*drawn: tuple[int, bool, bool]) -> np.ndarray:
    return np.array(list(drawn), dtype=mlm.ROW)


def plain(examples: mlm.Examples, drawn: np.ndarray, **changes) -> list[list[int]]:
    """The rows as they are laid out, masked pieces put back."""
    batch = mlm.collate(examples, drawn, recipe(**changes), 1)
    flat = batch["input_ids"].reshape(-1).copy()
    flat[batch["masked"]] = batch["targets"]
    ids = flat.reshape(batch["input_ids"].shape)
    return [row[mask.astype(bool)].tolist() for row, mask in zip(ids, batch["attention_mask"], strict=True)]


def test_documents_stand_alone_or_with_their_translation_on_either_side() -> None:
    examples = mlm.read([("de", table([[10, 11], [12]], [[20], [21, 22]]))], recipe(), SPECIALS)
    drawn = rows((0, False, False), (0, True, False), (1, True, True))
    assert plain(examples, drawn) == [[0, 10, 11, 2], [0, 10, 11, 2, 2, 20, 2], [0, 21, 22, 2, 2, 12, 2]]


def test_long_documents_become_windows_and_nothing_is_lost() -> None:
    long = list(range(4, 29))
    examples = mlm.read([("en", table([[30], long, []]))], recipe(), SPECIALS)
    shown = plain(examples, mlm.everything(examples)[0])
    assert [row[1:-1] for row in shown] == [[30], long[:10], long[10:20], long[20:]]
    assert mlm.everything(examples)[1].tolist() == [3, 12, 12, 7]


def test_only_the_first_window_is_shown_with_the_translation_and_both_are_cut() -> None:
    long = list(range(4, 19))
    examples = mlm.read([("de", table([long], [[40, 41, 42, 43, 44, 45]]))], recipe(pairs=1.0), SPECIALS)
    drawn = np.sort(np.concatenate(mlm.epoch(examples, recipe(pairs=1.0), 0, 1)), order="window")
    assert drawn["paired"].tolist() == [True, False]
    assert plain(examples, rows((0, True, False)))[0] == [0, 4, 5, 6, 7, 2, 2, 40, 41, 42, 43, 2]


def test_special_tokens_are_never_masked() -> None:
    examples = mlm.read([("de", table([[10, 11, 12]] * 50, [[20, 21]] * 50))], recipe(), SPECIALS)
    drawn = np.concatenate(mlm.epoch(examples, recipe(pairs=0.5), 0, 1))
    batch = mlm.collate(examples, drawn, recipe(mask_rate=0.9), 1)
    assert set(batch["targets"].tolist()) == {10, 11, 12, 20, 21}
    special = np.isin(batch["input_ids"], [0, 1, 2])
    assert not np.isin(np.flatnonzero(special), batch["masked"]).any()


def test_fifteen_percent_are_masked_eighty_ten_ten() -> None:
    ids = np.full((400, 100), 10)
    shown, masked = mlm.mask(ids, np.zeros(ids.shape, bool), 0.15, 49, SPECIALS.ordinary, stream(1))
    assert len(masked) / ids.size == pytest.approx(0.15, abs=0.01)
    fates = shown.reshape(-1)[masked]
    assert (fates == 49).mean() == pytest.approx(0.8, abs=0.02)
    assert (fates == 10).mean() == pytest.approx(0.1 + 0.1 / 45, abs=0.02)
    others = fates[(fates != 49) & (fates != 10)]
    assert len(others) / len(fates) == pytest.approx(0.1, abs=0.02)
    assert set(others.tolist()) <= set(range(4, 49))
    untouched = np.delete(shown.reshape(-1), masked)
    assert (untouched == 10).all()


def test_at_least_one_piece_is_masked() -> None:
    special = np.array([[True, False, True]])
    _, masked = mlm.mask(np.array([[0, 10, 2]]), special, 1e-9, 49, SPECIALS.ordinary, stream(1))
    assert masked.tolist() == [1]


def test_masks_are_pure_in_the_names_and_other_in_another_step() -> None:
    examples = mlm.read([("en", table([list(range(10, 20))] * 8))], recipe(), SPECIALS)
    drawn = mlm.everything(examples)[0]
    one, again, other = (mlm.collate(examples, drawn, recipe(), 1, "text", step) for step in (5, 5, 6))
    assert (one["input_ids"] == again["input_ids"]).all() and (one["masked"] == again["masked"]).all()
    assert one["masked"].tolist() != other["masked"].tolist()


def test_the_share_of_documents_with_their_translation_is_the_recipes() -> None:
    examples = mlm.read([("de", table([[10]] * 2000, [[20]] * 2000))], recipe(), SPECIALS)
    drawn = np.concatenate(mlm.epoch(examples, recipe(pairs=0.3), 0, 1))
    assert drawn["paired"].mean() == pytest.approx(0.3, abs=0.03)
    assert drawn["swapped"].mean() == pytest.approx(0.5, abs=0.04)
    other = np.concatenate(mlm.epoch(examples, recipe(pairs=0.3), 1, 1))
    assert (drawn["window"] != other["window"]).any() and (drawn["paired"] != other["paired"]).any()


def test_languages_are_sampled_with_the_exponent() -> None:
    language = np.repeat([0, 1], [900, 100])
    drawn = language[mlm.sample_languages(language, 0.3, 0, 1)]
    assert len(drawn) == 1000
    share = 0.1**0.3 / (0.1**0.3 + 0.9**0.3)
    assert (drawn == 1).mean() == pytest.approx(share, abs=0.001)
    assert sorted(mlm.sample_languages(language, 1.0, 0, 1).tolist()) == list(range(1000))


def test_a_small_language_goes_round_evenly_over_epochs() -> None:
    language = np.repeat([0, 1], [90, 10])
    drawn = np.concatenate([mlm.sample_languages(language, 0.5, epoch, 1) for epoch in range(8)])
    for members in (range(90), range(90, 100)):
        counts = Counter(drawn.tolist())
        times = [counts[member] for member in members]
        assert max(times) - min(times) <= 1


def test_batches_have_a_count_or_a_token_budget() -> None:
    examples = mlm.read([("en", table([[10] * (n % 9 + 1) for n in range(60)]))], recipe(), SPECIALS)
    assert {len(batch) for batch in mlm.epoch(examples, recipe(), 0, 1)} == {8, 4}
    batches = mlm.epoch(examples, recipe(tokens_per_batch=48), 0, 1)
    sizes = [mlm.collate(examples, batch, recipe(), 1)["input_ids"].size for batch in batches]
    assert max(sizes) <= 48 and sum(len(batch) for batch in batches) == 60


def test_switched_pieces_are_context_and_the_text_itself_is_the_target() -> None:
    texts = [[10 + n % 7, 10 + (n + 3) % 7, 5] for n in range(70)]
    pairs = [[text[0] + 20, text[1] + 20, 6] for text in texts]
    options = recipe(code_switch=1.0, mask_rate=0.2)
    examples = mlm.read([("de", table(texts, pairs))], options, SPECIALS)
    drawn = mlm.everything(examples)[0]
    batch = mlm.collate(examples, drawn, options, 1)
    assert set(batch["targets"].tolist()) <= {*range(10, 17), 5}
    context = np.delete(batch["input_ids"].reshape(-1), batch["masked"])
    switched = np.isin(context, range(30, 37))
    assert switched.sum() / np.isin(context, [*range(10, 17), *range(30, 37)]).sum() == pytest.approx(
        0.5, abs=0.1
    )


def test_text_of_several_tasks_is_one_corpus() -> None:
    tables = [("en", table([[10]])), ("de", table([[11]], [[20]])), ("en", table([[12], [13]]))]
    examples = mlm.read(tables, recipe(), SPECIALS)
    assert examples.languages == ("en", "de") and examples.language.tolist() == [0, 1, 0, 0]
    assert len(mlm.subset(examples, np.array([2, 3]))) == 2
    assert mlm.identifiers(mlm.subset(examples, np.array([2, 3]))).tolist() == ["2", "3"]


def test_without_code_switching_no_lexicon_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(switch, "induce", refuse)
    assert mlm.read([("en", table([[10]]))], recipe(), SPECIALS).lexicon is None


def test_the_score_is_the_probability_of_a_masked_piece() -> None:
    outputs = {"loss": np.array([np.log(4), 0.0]), "masked": np.array([1, 1])}
    examples = mlm.read([("en", table([[10]]))], recipe(), SPECIALS)
    assert mlm.score(examples, outputs) == pytest.approx(0.5)
    assert mlm.collapsed(examples, outputs) is False
    assert dataclasses.is_dataclass(examples)
