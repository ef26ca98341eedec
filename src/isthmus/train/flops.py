"""What steps cost in floating-point operations, and how much of a device's peak that is."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from isthmus import families
from isthmus.data.batch import Array
from isthmus.train.task import Task

# Products of matrices per second that the maker gives for dense ones, by what a device's name holds: bf16, then fp32
# without TF32 (NVIDIA's data sheets). The first that fits counts.
PEAKS: Mapping[str, tuple[float, float]] = {
    "H200": (989.4e12, 66.9e12),
    "H100 PCIe": (756e12, 51.2e12),
    "H100": (989.4e12, 66.9e12),
    "A100": (311.9e12, 19.5e12),
    "L40S": (362e12, 91.6e12),
}


@dataclass(frozen=True)
class Flops:
    """An encoder's `weights` that multiply each token (embeddings do not), of which so many are `trained`, its number
    of `layers`, its `width` and the `rows` of its embedding.
    """

    weights: int
    trained: int
    layers: int
    width: int
    rows: int

    @classmethod
    def of(cls, encoder: PreTrainedModel) -> "Flops":
        """Count an encoder's."""
        weights = [layer.weight for layer in encoder.modules() if isinstance(layer, nn.Linear)]
        config = encoder.config
        return cls(
            sum(weight.numel() for weight in weights),
            sum(weight.numel() for weight in weights if weight.requires_grad),
            config.num_hidden_layers,
            config.hidden_size,
            config.vocab_size,
        )

    def step(self, task: Task, lengths: Array, batch: Mapping[str, Array]) -> float:
        """Forward and backward over rows of these lengths [B]: for each weight and token two operations forward, two
        for the gradient of the input and two for its own if it is trained; attention as in Chowdhery et al. 2022,
        appendix B. What the plain computation of real tokens costs, whatever was spared or done twice.
        """
        terms = getattr(task.family, "weight", families.weight)(batch)
        head = sum(layer.weight.numel() for layer in task.head.modules() if isinstance(layer, nn.Linear))
        if task.family.FULL_VOCABULARY:
            head += self.rows * self.width
        tokens, pairs = float(lengths.sum()), float((lengths.astype(float) ** 2).sum())
        of_weights = (4 * self.weights + 2 * self.trained) * tokens
        return of_weights + 12 * self.layers * self.width * pairs + 6 * head * terms


def peak(device: str, precision: str) -> float | None:
    """A device's peak for matrix products at a recipe's precision; None where it is not known."""
    found = next((peaks for name, peaks in PEAKS.items() if name in device), None)
    return None if found is None else found[precision == "fp32"]
