import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data import mining


def angles(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def pairs(found: mining.Pairs) -> list[tuple[int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_margins_worked_out_by_hand() -> None:
    # cosines: 0.98481 0.70711 / 0.86603 0.99619; means of rows 0.84596 0.93111, of columns 0.92542 0.85165
    found = mining.mine(angles(0, 40), angles(10, 45), k=2)
    assert pairs(found) == [(1, 1), (0, 0)]
    assert found.scores.tolist() == pytest.approx([1.11759, 1.11193], abs=2e-5)
    assert found.scores.dtype == np.float32


def test_a_sentence_that_is_near_to_all_is_held_back_by_the_margin() -> None:
    # 20° is the nearest of both, but near to everything: the pair of 0° is with -25°, which is near to it alone
    first, second = angles(0, 30, 25, 15), angles(20, -25, 28, 14)
    assert mining.nearest(first, second).places[0, 0] == 3
    assert (0, 1) in pairs(mining.mine(first, second, k=2))


def test_the_length_of_a_vector_does_not_matter_and_a_zero_vector_is_near_to_nothing() -> None:
    first, second = angles(0, 40), angles(10, 45)
    plain = mining.mine(first, second, k=2)
    scaled = mining.mine(first * np.float32([[8], [0.25]]), second * 4, k=2)
    assert pairs(plain) == pairs(scaled) and np.allclose(plain.scores, scaled.scores)
    zero = mining.mine(np.zeros((2, 2), np.float32), second, k=2)
    assert pairs(zero) == [] and zero.scores.dtype == np.float32


def test_of_equals_the_first_is_taken_and_each_sentence_once() -> None:
    e0, e1 = np.eye(2, dtype=np.float32)
    first, second = np.stack([e0, e0, e1]), np.stack([e0, e1, e1])
    assert mining.nearest(first, second).places[:, 0].tolist() == [0, 0, 1]
    found = mining.mine(first, second, k=1)
    assert pairs(found) == [(0, 0), (2, 1)] and found.scores.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("rows", "columns"), [(1024, 8192), (2, 3)])
def test_the_k_nearest_come_nearest_first_and_of_equals_the_first(
    monkeypatch: pytest.MonkeyPatch, rows: int, columns: int
) -> None:
    monkeypatch.setattr(mining, "ROWS", rows)
    monkeypatch.setattr(mining, "COLUMNS", columns)
    angles = np.deg2rad([40.0, 10.0, 0.0, 10.0, 90.0, 20.0, 10.0])
    index = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    queries = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    found = mining.nearest(queries, index, 4)
    assert found.places.tolist() == [[2, 1, 3, 6], [4, 0, 5, 1], [2, 1, 3, 6]]
    assert np.allclose(found.cosines[0], np.cos(np.deg2rad([0, 10, 10, 10])))
    assert mining.nearest(queries, index, 20).places.shape == (3, 7)


def test_neighbours_are_counted_both_ways() -> None:
    forward, backward = mining.neighbours(angles(0, 40, 80), angles(10, 85), k=4)
    assert forward.places.tolist() == [[0, 1], [0, 1], [1, 0]]  # no more than there are
    assert backward.places.tolist() == [[0, 1, 2], [2, 1, 0]]
    assert forward.cosines[0].tolist() == pytest.approx(np.cos(np.radians([10, 85])), abs=1e-6)


def brute_force(first: np.ndarray, second: np.ndarray, k: int) -> list[tuple[int, int, float]]:
    """The same from the whole matrix, pair by pair, in float64."""
    x, y = (v.astype(float) / np.linalg.norm(v.astype(float), axis=1, keepdims=True) for v in (first, second))
    cosines = x @ y.T
    rows = np.sort(cosines, axis=1)[:, ::-1][:, :k].mean(axis=1)
    columns = np.sort(cosines, axis=0)[::-1][:k].mean(axis=0)
    margin = {
        (i, j): cosines[i, j] / ((rows[i] + columns[j]) / 2) for i in range(len(x)) for j in range(len(y))
    }
    proposed = set()
    for i in range(len(x)):
        near = sorted(range(len(y)), key=lambda j: -cosines[i, j])[:k]
        proposed.add(max(((i, j) for j in near), key=margin.__getitem__))
    for j in range(len(y)):
        near = sorted(range(len(x)), key=lambda i: -cosines[i, j])[:k]
        proposed.add(max(((i, j) for i in near), key=margin.__getitem__))
    taken: list[tuple[int, int, float]] = []
    for i, j in sorted(proposed, key=margin.__getitem__, reverse=True):
        if all(i != a and j != b for a, b, _ in taken):
            taken.append((i, j, margin[i, j]))
    return taken


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 14),
    m=st.integers(1, 14),
    width=st.integers(3, 8),
    k=st.integers(1, 5),
)
def test_mining_is_what_brute_force_finds(seed: int, n: int, m: int, width: int, k: int) -> None:
    random = np.random.default_rng(seed)
    first, second = (random.random((size, width)).astype(np.float32) for size in (n, m))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "ROWS", 3)
        patch.setattr(mining, "COLUMNS", 5)
        found = mining.mine(first, second, k)
    expected = brute_force(first, second, k)
    assert set(pairs(found)) == {
        (i, j) for i, j, _ in expected
    }  # with k = 1 all that choose each other have 1.0
    assert found.scores.tolist() == pytest.approx([score for *_, score in expected], rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    signs=st.lists(st.lists(st.sampled_from([-1, 1]), min_size=4, max_size=4), min_size=2, max_size=24),
    cut=st.integers(1, 23),
    rows=st.integers(1, 7),
    columns=st.integers(1, 7),
)
def test_tiles_change_nothing_even_where_many_are_equal(
    signs: list[list[int]], cut: int, rows: int, columns: int
) -> None:
    vectors = np.array(signs, np.float32)  # of length 2: every cosine is exact
    first, second = vectors[: min(cut, len(signs) - 1)], vectors[min(cut, len(signs) - 1) :]
    whole, near = mining.mine(first, second), mining.nearest(first, second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "ROWS", rows)
        patch.setattr(mining, "COLUMNS", columns)
        tiled, near_tiled = mining.mine(first, second), mining.nearest(first, second)
    assert pairs(whole) == pairs(tiled) and whole.scores.tobytes() == tiled.scores.tobytes()
    assert near.places.tolist() == near_tiled.places.tolist()
    cosines = first.astype(float) @ second.T
    assert near.places[:, 0].tolist() == cosines.argmax(axis=1).tolist()
    assert (whole.scores > 0).all()
    assert len(set(whole.first.tolist())) == len(set(whole.second.tolist())) == len(whole.scores)
    assert (np.diff(whole.scores) <= 0).all()


def test_memory_grows_with_the_sentences_not_with_their_pairs() -> None:
    import tracemalloc

    vectors = np.random.default_rng(0).random((6000, 8)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "COLUMNS", 1024)
        tracemalloc.start()
        mining.mine(vectors, vectors)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 40e6  # the matrix of all pairs would take 144 MB


def exact(rows: int, seed: int) -> np.ndarray:
    """Vectors of length 2 whose products are whole numbers: no way of adding up changes them, and many are equal."""
    generator = np.random.default_rng(seed)
    vectors = np.zeros((rows, 12), np.float32)
    for vector in vectors:
        vector[generator.choice(12, 4, replace=False)] = generator.choice([-1, 1], 4)
    return vectors


@pytest.mark.parametrize(("n", "m", "k"), [(40, 57, 4), (57, 40, 1), (3, 70, 4), (1, 1, 4), (64, 64, 7)])
def test_a_device_finds_what_plain_numpy_finds(
    monkeypatch: pytest.MonkeyPatch, n: int, m: int, k: int
) -> None:
    """The device's code, run where every test can: the same places to the last one, of equals the first."""
    from isthmus.data import mining_on_device

    first, second = exact(n, 1), exact(m, 2)
    plain = mining.neighbours(first, second, k)
    for rows, columns in ((4096, 32768), (8, 13), (1, 1), (64, 5)):
        monkeypatch.setattr(mining_on_device, "ROWS", rows)
        monkeypatch.setattr(mining_on_device, "COLUMNS", columns)
        found = mining_on_device.neighbours(mining.unit(first), mining.unit(second), k, "cpu")
        for mine, other in zip(plain, found, strict=True):
            np.testing.assert_array_equal(mine.places, other[1])
            np.testing.assert_array_equal(mine.cosines, other[0])


@pytest.mark.parametrize(("n", "m", "k"), [(40, 57, 4), (57, 40, 1), (3, 70, 4), (1, 1, 4), (64, 64, 7)])
def test_a_device_finds_the_nearest_that_plain_numpy_finds(
    monkeypatch: pytest.MonkeyPatch, n: int, m: int, k: int
) -> None:
    from isthmus.data import mining_on_device

    first, second = exact(n, 1), exact(m, 2)
    plain = mining.nearest(first, second, k)
    original = mining_on_device.nearest
    monkeypatch.setattr(mining_on_device, "nearest", lambda *given: original(*given[:3], "cpu"))
    for rows, columns in ((4096, 32768), (8, 13), (1, 1), (64, 5)):
        monkeypatch.setattr(mining_on_device, "ROWS", rows)
        monkeypatch.setattr(mining_on_device, "COLUMNS", columns)
        found = mining.nearest(first, second, k, device="cuda")
        np.testing.assert_array_equal(plain.places, found.places)
        np.testing.assert_array_equal(plain.cosines, found.cosines)


def test_vectors_that_are_scaled_already_are_not_scaled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(5)
    first, second = (dice.normal(size=(size, 24)).astype(np.float32) for size in (30, 40))
    nearest, mined = mining.nearest(first, second, 3), mining.mine(first, second)
    ready = mining.unit(first), mining.unit(second)
    monkeypatch.setattr(mining, "unit", None)
    again = mining.nearest(*ready, 3, scaled=True)
    np.testing.assert_array_equal(nearest.places, again.places)
    np.testing.assert_array_equal(nearest.cosines, again.cosines)
    other = mining.mine(*ready, scaled=True)
    assert pairs(mined) == pairs(other)
    np.testing.assert_array_equal(mined.scores, other.scores)


def test_vectors_are_scaled_in_place_where_a_place_is_given() -> None:
    vectors = np.random.default_rng(6).normal(size=(7, 5)).astype(np.float32)
    expected, kept = mining.unit(vectors), vectors.copy()
    assert mining.unit(kept, kept) is kept
    np.testing.assert_array_equal(kept, expected)


def test_pairs_are_the_same_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.data import mining_on_device

    asked = []

    def on_device(first: np.ndarray, second: np.ndarray, k: int, device: str) -> object:
        asked.append(device)
        return original(first, second, k, "cpu")

    original = mining_on_device.neighbours
    monkeypatch.setattr(mining_on_device, "neighbours", on_device)
    first, second = exact(60, 3), exact(80, 4)
    plain, other = mining.mine(first, second), mining.mine(first, second, device="cuda")
    assert asked == ["cuda"]
    assert pairs(plain) == pairs(other)
    np.testing.assert_array_equal(plain.scores, other.scores)


@pytest.mark.parametrize("width", [12, 768, 1000])
def test_scaling_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, width)).astype(np.float32)
    vectors[7] = 0
    whole = mining.unit(vectors)
    for rows in (1, 7, 49):
        monkeypatch.setattr(mining, "AT_ONCE", rows)
        np.testing.assert_array_equal(mining.unit(vectors), whole)
