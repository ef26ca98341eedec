"""Encoders: made from an architecture, loaded from a folder, run on a batch, saved as an ordinary folder.

Shapes: B rows, T tokens, H width.
"""

import inspect
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging

from isthmus.data.batch import Specials
from isthmus.data.seeds import number
from isthmus.errors import DataError, UsageError
from isthmus.model import packing

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentencepiece.bpe.model",
)
# XLM-R base draws its weights with this deviation at this width. A narrower layer sums fewer terms and needs larger
# ones for states of the same size: at width 64 and the same deviation, attention takes several times as long to learn.
XLMR_DEVIATION, XLMR_WIDTH = 0.02, 768


def create(architecture: Mapping[str, Any], specials: Specials, seed: int) -> PreTrainedModel:
    """A random encoder of XLM-R's architecture, with as many embedding rows as the tokenizer has ids.

    `architecture`: layers, width, heads, feed_forward, positions (longest input in tokens), dropout.

    Raises:
        UsageError: the width is not a multiple of the number of heads.
    """
    if architecture["width"] % architecture["heads"]:
        raise UsageError(
            f"An encoder of width {architecture['width']} cannot have {architecture['heads']} heads: choose a width "
            "that is a multiple of the heads."
        )
    config = AutoConfig.for_model(
        "xlm-roberta",
        vocab_size=specials.rows,
        hidden_size=architecture["width"],
        num_hidden_layers=architecture["layers"],
        num_attention_heads=architecture["heads"],
        intermediate_size=architecture["feed_forward"],
        # XLM-R counts positions from the row after <pad>'s
        max_position_embeddings=architecture["positions"] + specials.pad + 1,
        hidden_dropout_prob=architecture["dropout"],
        attention_probs_dropout_prob=architecture["dropout"],
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        initializer_range=XLMR_DEVIATION * math.sqrt(XLMR_WIDTH / architecture["width"]),
        pad_token_id=specials.pad,
        bos_token_id=specials.bos,
        eos_token_id=specials.eos,
    )
    torch.manual_seed(number(seed, "encoder"))
    model: PreTrainedModel = AutoModel.from_config(config, **_no_pooler(config))  # type: ignore[no-untyped-call]
    return model


def load(folder: Path) -> PreTrainedModel:
    """The encoder of a model folder, in float32, without pooler and without any head it was saved with.

    Raises:
        DataError: the folder holds no model that `transformers` can load from safetensors.
    """
    # Silences the report of heads left out, which is what is asked for.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        model: PreTrainedModel = AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            **_no_pooler(config),
        )
        return model
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} does not hold an encoder that can be loaded: {error}") from error


def _no_pooler(config: Any) -> dict[str, bool]:
    model_class: Any = AutoModel._model_mapping[type(config)]
    return (
        {"add_pooling_layer": False}
        if "add_pooling_layer" in inspect.signature(model_class).parameters
        else {}
    )


def hidden_states(encoder: PreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
    """The last layer's states [B, T, H] of a batch's input_ids and attention_mask [B, T], padded on the right.

    Encoders are called here and in `all_hidden_states` alone, on the real tokens where they can be: what stands at
    padding means nothing.
    """
    output, packed = _call(encoder, batch)
    states_BTH: Tensor = output.last_hidden_state
    return states_BTH if packed is None else packed.unpack(states_BTH)


def all_hidden_states(encoder: PreTrainedModel, batch: Mapping[str, Tensor]) -> list[Tensor]:
    """The states [B, T, H] of the embeddings (0) and of each of the L layers (1 to L): a list of L + 1."""
    output, packed = _call(encoder, batch, output_hidden_states=True)
    return [states if packed is None else packed.unpack(states) for states in output.hidden_states]


def _call(
    encoder: PreTrainedModel, batch: Mapping[str, Tensor], **wanted: bool
) -> tuple[Any, packing.Packed | None]:
    packed = packing.pack(encoder, batch)
    if packed is None:
        return encoder(batch["input_ids"], attention_mask=batch["attention_mask"], **wanted), None
    return encoder(**packed.inputs, **wanted), packed


def longest_input(encoder: PreTrainedModel) -> int:
    """The tokens an input may have, special tokens included."""
    config = encoder.config
    return int(config.max_position_embeddings) - int(config.pad_token_id or 0) - 1


def require_length(encoder: PreTrainedModel, max_length: int, name: str) -> None:
    """Refuse inputs that are longer than the encoder can read.

    Raises:
        UsageError: they are; `name` says whose.
    """
    if max_length > longest_input(encoder):
        raise UsageError(
            f"{name}: max_length {max_length} is longer than the encoder's {longest_input(encoder)} positions. Lower "
            "max_length in the recipe, or give the encoder more positions."
        )


def set_dropout(module: nn.Module, rate: float) -> None:
    """Use one dropout rate throughout. The configuration keeps the encoder's own, for the next link of a chain."""
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = rate


def save(encoder: PreTrainedModel, tokenizer_folder: Path, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer's files: a folder for `AutoModel.from_pretrained`."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    encoder.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        if (tokenizer_folder / name).is_file():
            shutil.copyfile(tokenizer_folder / name, folder / name)
