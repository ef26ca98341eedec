"""How large a measurement is: the one that counts, and a small one that shows that everything runs."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Scale:
    """Sizes of every part. Steps count the first one, which warms caches up and is left out of every time."""

    name: str
    architecture: dict[str, Any]
    """As `isthmus.model.encoder.create` takes it."""
    embedding_rows: int
    threads: int
    max_length: int
    batch: int
    steps_ours: int
    steps_dynamic: int
    steps_fixed: int
    steps_again: int
    """Of the second run of ours, which tells how steady the machine is."""
    predicted_per_language: int
    tag_batch: int
    tag_steps: int
    window: int
    """Tokens of a window of a question's context."""
    window_batch: int
    window_steps: int
    linear_batches: tuple[int, int, int]
    linear_steps: int
    bf16_steps: int

    def json(self) -> dict[str, Any]:
        """All sizes, as a result records them."""
        return asdict(self)


FULL = Scale(
    name="full",
    architecture={
        "layers": 12,
        "width": 768,
        "heads": 12,
        "feed_forward": 3072,
        "positions": 512,
        "dropout": 0.1,
    },
    embedding_rows=250_002,
    threads=2,
    max_length=128,
    batch=32,
    steps_ours=20,
    steps_dynamic=20,
    steps_fixed=8,
    steps_again=6,
    predicted_per_language=64,
    tag_batch=32,
    tag_steps=4,
    window=384,
    window_batch=8,
    window_steps=4,
    # At 8 examples a third of a step is AdamW, which costs the same for any number of tokens.
    linear_batches=(16, 32, 64),
    linear_steps=4,
    bf16_steps=4,
)

QUICK = Scale(
    name="quick",
    architecture={
        "layers": 2,
        "width": 64,
        "heads": 4,
        "feed_forward": 128,
        "positions": 512,
        "dropout": 0.1,
    },
    embedding_rows=120_000,
    threads=1,
    max_length=128,
    batch=8,
    steps_ours=6,
    steps_dynamic=6,
    steps_fixed=4,
    steps_again=3,
    predicted_per_language=4,
    tag_batch=8,
    tag_steps=3,
    window=384,
    window_batch=2,
    window_steps=3,
    linear_batches=(8, 16, 32),
    linear_steps=3,
    bf16_steps=3,
)
