"""How sure a number is: intervals over examples and seeds, in plain numpy, the same on every run.

Every random draw comes from PCG64, seeded by a hash of the names of what is resampled (`seed_of`), never by a
counter or the clock: adding a language or an arm to a study leaves the draws of the others as they were.

Array shapes: R resamples, n examples, k columns (arm x seed), S seeds.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
CONFIDENCE = 0.95
Z = 1.959963984540054  # the normal quantile of (1 + CONFIDENCE) / 2
_BLOCK = 4_000_000  # resampling weights held at once (32 MB)


def seed_of(*names: str) -> int:
    """A 128-bit seed that depends on the names and their order alone."""
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    return int.from_bytes(digest[:16], "big")


def generator(*names: str) -> np.random.Generator:
    """The random generator that belongs to these names."""
    return np.random.Generator(np.random.PCG64(seed_of(*names)))


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), 0 to 1; n = 0 says nothing: (0, 1)."""
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    centre = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * float(np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def percentile(replicates: Floats) -> tuple[float, float]:
    """The percentile interval of resampled values, shape (R,)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_mean(
    parts: Floats, statistic: Callable[[Floats], Floats], *names: str, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile bootstrap of a statistic of mean parts (Efron and Tibshirani 1993, section 13.3).

    `parts` is (n, k), one row per example; `statistic` maps resampled means, shape (r, k), to (r,). At least one
    example is needed; of one example the interval is a point, which says nothing.
    """
    return percentile(statistic(bootstrap_means(parts, *names, resamples=resamples)))


def bootstrap_means(parts: Floats, *names: str, resamples: int = RESAMPLES) -> Floats:
    """Resampled means (R, k) of parts (n, k): one draw serves every statistic of them."""
    draws = generator("bootstrap", *names)
    sums = [block @ parts for block in _multinomial(draws, len(parts), resamples)]
    means: Floats = np.vstack(sums) / len(parts)
    return means


@dataclass(frozen=True)
class Stratum:
    """Examples that the same languages share: `ids` (n,) sorted, `positions` of them in each language."""

    ids: tuple[str, ...]
    positions: Mapping[str, NDArray[np.int64]]


def strata(ids: Mapping[str, Sequence[str]]) -> list[Stratum]:
    """Example ids per language, divided by the set of languages in which each id occurs.

    Parallel test sets give one stratum, unrelated ones one per language, partly parallel ones several.
    """
    places: dict[str, dict[str, int]] = {}
    for language, names in ids.items():
        for position, name in enumerate(names):
            places.setdefault(name, {})[language] = position
    groups: dict[frozenset[str], list[str]] = {}
    for name in sorted(places):
        groups.setdefault(frozenset(places[name]), []).append(name)
    return [
        Stratum(
            tuple(members),
            {
                language: np.array([places[name][language] for name in members], np.int64)
                for language in sorted(languages)
            },
        )
        for languages, members in groups.items()
    ]


def joint_means(
    values: Mapping[str, Floats], ids: Mapping[str, Sequence[str]], *names: str, resamples: int = RESAMPLES
) -> dict[str, Floats]:
    """Resampled means of examples that several languages and arms share.

    Args:
        values: per language, (n, k): per-example values of k runs on the same n examples.
        ids: per language, the n example ids.
        names: what is resampled; with the ids they seed the draws.

    Returns:
        Per language (R, k). Row r of every language and column comes from the same draw of examples wherever
        the ids coincide (XNLI: row i means the same in all languages), from an independent one elsewhere. So
        the difference of two columns is the paired bootstrap (Koehn 2004), and the mean over languages
        carries their covariance. Examples are drawn within strata, so that every resample of a language has
        its n. Sums of 0/1 values are exact; of fractions, the last digits depend on the linear algebra library.
    """
    sums = {language: np.zeros((resamples, matrix.shape[1])) for language, matrix in values.items()}
    for stratum in strata(ids):
        columns = np.hstack([values[language][rows] for language, rows in stratum.positions.items()])
        total = np.vstack([block @ columns for block in _weights(stratum.ids, names, resamples)])
        start = 0
        for language in stratum.positions:
            width = values[language].shape[1]
            sums[language] += total[:, start : start + width]
            start += width
    return {language: sums[language] / max(1, len(matrix)) for language, matrix in values.items()}


def _weights(ids: Sequence[str], names: Sequence[str], resamples: int) -> Iterator[Floats]:
    """How often each example stands in each resample, in blocks of rows: (r, n), each row sums to n."""
    return _multinomial(generator("examples", *names, *ids), len(ids), resamples)


def _multinomial(draws: np.random.Generator, n: int, resamples: int) -> Iterator[Floats]:
    rows = max(1, _BLOCK // n)
    for start in range(0, resamples, rows):
        block = np.empty((min(rows, resamples - start), n))
        for row, picks in zip(block, draws.integers(0, n, block.shape, dtype=np.int32), strict=True):
            row[:] = np.bincount(picks, minlength=n)
        yield block


def seed_weights(seeds: Sequence[int], *names: str, resamples: int = RESAMPLES) -> Floats:
    """The weight of each training seed in each resample, (R, S), rows sum to 1; one seed always weighs 1.

    Equal sets of seeds get equal draws, so that languages and targets of one run stay together.
    """
    size = len(seeds)
    draws = generator("seeds", *names, *(str(seed) for seed in seeds)).integers(0, size, (resamples, size))
    return np.stack([(draws == index).mean(axis=1) for index in range(size)], axis=1)


def paired_difference(treated: Floats, baseline: Floats, weights: Floats) -> Floats:
    """Resampled differences of two arms, averaged over seeds: (R, S), (R, S), weights (R, S) -> (R,).

    Column s of both is the same seed: the difference is paired by seed and by example. First seeds are drawn
    (`weights`), then examples, one draw for all seeds, because all seeds are tested on the same examples
    (crossed, not nested: drawing anew for each seed would average the examples' share of the doubt away).
    """
    difference: Floats = ((treated - baseline) * weights).sum(axis=1)
    return difference
