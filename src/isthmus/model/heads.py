"""Heads: small modules on top of an encoder, new in every link of a chain.

Shapes: B rows, T tokens, W words, M masked positions, H width, L labels, V rows of the vocabulary.
"""

import json
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedConfig


class ClassificationHead(nn.Module):
    """XLM-R's: dropout, dense, tanh, dropout, linear on the state of `<s>`. [B, H] to [B, L]."""

    def __init__(self, config: PreTrainedConfig, labels: int) -> None:
        super().__init__()
        self.dropout = classifier_dropout(config)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, labels)
        initialise(self, config.initializer_range)

    def forward(self, state_BH: Tensor) -> Tensor:
        """Logits of the labels."""
        hidden_BH = torch.tanh(self.dense(self.dropout(state_BH)))
        logits_BL: Tensor = self.out_proj(self.dropout(hidden_BH))
        return logits_BL


class LanguageModelHead(nn.Module):
    """XLM-R's: dense, GELU, LayerNorm, then the encoder's own embedding as output matrix, and a bias."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        initialise(self, config.initializer_range)

    def forward(self, hidden_MH: Tensor, embedding_VH: Tensor) -> Tensor:
        """Logits of the pieces, [M, V]."""
        hidden_MH = self.layer_norm(nn.functional.gelu(self.dense(hidden_MH)))
        return nn.functional.linear(hidden_MH, embedding_VH, self.bias)


class TokenHead(nn.Module):
    """XLM-R's for token classification: dropout, linear on the states of W words. [W, H] to [W, L]."""

    def __init__(self, config: PreTrainedConfig, labels: int) -> None:
        super().__init__()
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, labels)
        initialise(self, config.initializer_range)

    def forward(self, states_WH: Tensor) -> Tensor:
        """Logits of the labels."""
        logits_WL: Tensor = self.classifier(self.dropout(states_WH))
        return logits_WL


class SpanHead(nn.Module):
    """XLM-R's for question answering: linear on every token, to its logit as start and as end. [B, T, H] to [B, T, 2]."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        initialise(self, config.initializer_range)

    def forward(self, states_BTH: Tensor) -> Tensor:
        """Logits of start and end."""
        logits_BT2: Tensor = self.qa_outputs(states_BTH)
        return logits_BT2


class ChoiceHead(ClassificationHead):
    """XLM-R's classification head with one output: the score of a choice. [C, H] to [C], C choices of all examples."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__(config, 1)

    def forward(self, state_CH: Tensor) -> Tensor:
        """One score for each choice."""
        return super().forward(state_CH).squeeze(-1)


class MatchHead(nn.Module):
    """BERT's pooler (dense, tanh) on the states of `<s>`, scaled to length 1, in fp32: [B, H] to [B, H]. `scale` is what the
    dot products of such vectors are multiplied by, which begins at XTREME's 100.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.scale = nn.Parameter(torch.full((1,), 100.0))
        initialise(self, config.initializer_range)

    def forward(self, state_BH: Tensor) -> Tensor:
        """Vectors of length 1."""
        return nn.functional.normalize(torch.tanh(self.dense(state_BH)).float(), dim=-1)


def classifier_dropout(config: PreTrainedConfig) -> nn.Dropout:
    """Dropout at the rate that the configuration has for heads, else at that of the encoder's states."""
    own = getattr(config, "classifier_dropout", None)
    return nn.Dropout(config.hidden_dropout_prob if own is None else own)


def initialise(module: nn.Module, deviation: float) -> None:
    """Normal weights and zero biases in the linear layers, as transformers does for these heads."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)


def inherited(folder: Path, family: str, names: Collection[str]) -> dict[str, Tensor]:
    """The language-model head that a model folder brings along, its parameters under these names; {} where it brings none.

    Folders of ours keep heads in a file of their own, each with its family; checkpoints of XLM-R have theirs among the weights, as `lm_head.`.
    """
    described = folder / "heads.json"
    heads = json.loads(described.read_text(encoding="utf-8")) if described.is_file() else {}
    task = next((task for task, form in heads.items() if form["family"] == family), None)
    prefix, files = "lm_head.", sorted(folder.glob("model*.safetensors"))
    if task is not None:
        prefix, files = f"{task}.", [folder / "heads.safetensors"]
    found = {}
    for path in files:
        with safe_open(path, "pt") as file:
            for name in set(file.keys()) & {f"{prefix}{name}" for name in names}:
                found[name.removeprefix(prefix)] = file.get_tensor(name)
    return found if len(found) == len(names) else {}
