"""Encoders: made from an architecture, loaded from a folder, run on a batch, saved as an ordinary folder.

Shapes: B rows, T tokens, H width.
"""

import inspect
import math
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging
from transformers.utils.import_utils import is_accelerate_available

from isthmus.data.batch import Specials
from isthmus.data.seeds import number
from isthmus.errors import DataError, UsageError
from isthmus.model import narrow, packing

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


def load(folder: Path, dtype: torch.dtype = torch.float32, device: str = "cpu") -> PreTrainedModel:
    """The encoder of a model folder, without pooler and without any head it was saved with.

    No second copy of the weights is made in memory: in the type they were saved in they stay in the mapped files until
    they change, else they are converted one by one. With a `device` that is not the CPU each goes there straight from
    its file (not run on a GPU; without `accelerate` it takes the way over main memory).

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
            dtype=dtype,
            device_map={"": device} if device != "cpu" and is_accelerate_available() else None,
            **_no_pooler(config),
        )
        model.to(torch.device(device))  # type: ignore[arg-type]
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

    Encoders are called here, in `states_at` and in `all_hidden_states` alone, on the real tokens where they can be:
    what stands at padding means nothing.
    """
    inputs, packed = _inputs(encoder, batch)
    states_BTH: Tensor = encoder(**inputs).last_hidden_state
    return states_BTH if packed is None else packed.unpack(states_BTH)


def states_at(encoder: PreTrainedModel, batch: Mapping[str, Tensor], cells_M: Tensor) -> Tensor:
    """The last layer's states [M, H] of some real tokens: `cells` int64, places in the flattened [B, T], no two alike."""
    inputs, packed = _inputs(encoder, batch)
    return narrow.states(encoder, inputs, cells_M if packed is None else packed.rows(cells_M))


def first_states(encoder: PreTrainedModel, batch: Mapping[str, Tensor]) -> Tensor:
    """The last layer's states [B, H] of each row's first token, `<s>`."""
    rows, width = batch["input_ids"].shape
    return states_at(encoder, batch, torch.arange(0, rows * width, width, device=batch["input_ids"].device))


def all_hidden_states(
    encoder: PreTrainedModel, batch: Mapping[str, Tensor], normalise: bool = True
) -> list[Tensor]:
    """The states [B, T, H] of the embeddings (0) and of each of the L layers (1 to L): a list of L + 1.

    Where layers normalise what they read (XLM-R XL and XXL, ModernBERT), the encoder ends with a LayerNorm of its own,
    and between layers runs a sum that was never normalised. That last LayerNorm is applied to the states that have not
    been through it; with `normalise` false all are as the encoder gives them, which are raw but for the last.
    """
    inputs, packed = _inputs(encoder, batch)
    made: dict[nn.Module, Tensor] = {}
    hooks = [norm.register_forward_hook(partial(_note, made)) for norm in _norms_outside_layers(encoder)]
    try:
        output = encoder(**inputs, output_hidden_states=True)
    finally:
        for hook in hooks:
            hook.remove()
    last = next((norm for norm, states in made.items() if states is output.last_hidden_state), None)
    layers = list(output.hidden_states)
    if normalise and last is not None:
        layers = [states if states is output.last_hidden_state else last(states) for states in layers]
    return layers if packed is None else [packed.unpack(states) for states in layers]


def _note(made: dict[nn.Module, Tensor], module: nn.Module, inputs: Any, output: Tensor) -> None:
    made[module] = output


def _norms_outside_layers(encoder: PreTrainedModel) -> list[nn.Module]:
    """LayerNorm, RMSNorm and their kin: what transformers calls so too."""
    stack = layer_stack(encoder)
    inside = set(stack.modules()) if stack is not None else set()
    return [m for m in encoder.modules() if m not in inside and type(m).__name__.endswith("Norm")]


def layer_stack(encoder: PreTrainedModel) -> nn.ModuleList | None:
    """The list of the encoder's layers, as many as its configuration says; None if it keeps them otherwise."""
    for module in encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == encoder.config.num_hidden_layers:
            return module
    return None


def _inputs(
    encoder: PreTrainedModel, batch: Mapping[str, Tensor]
) -> tuple[Mapping[str, Any], packing.Packed | None]:
    """What the encoder is called with: a packed batch, or the batch as it is."""
    narrow.release(encoder)
    packed = packing.pack(encoder, batch)
    if packed is None:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        # Without a mask where there is no padding: attention is faster, and a GPU need not be asked whether there is.
        return {"input_ids": ids, "attention_mask": None if mask.all() else mask.to(ids.device)}, None
    return packed.inputs, packed


def longest_input(encoder: PreTrainedModel) -> int:
    """The tokens an input may have, special tokens included. Positions of XLM-R and its kin begin after <pad>'s."""
    table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    before = getattr(table, "padding_idx", None)
    return int(encoder.config.max_position_embeddings) - (0 if before is None else int(before) + 1)


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


def checkpoint_layers(encoder: PreTrainedModel) -> None:
    """Keep one state per layer for the backward pass, which computes the others anew: gradient checkpointing."""
    # transformers is renaming the method.
    enable = (
        getattr(encoder, "activation_checkpointing_enable", None) or encoder.gradient_checkpointing_enable
    )
    enable({"use_reentrant": False})


def set_dropout(module: nn.Module, rate: float) -> None:
    """Use one dropout rate throughout. The configuration keeps the encoder's own, for the next link of a chain."""
    for layer in module.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = rate
        elif isinstance(
            getattr(layer, "attention_dropout", None), float
        ):  # ModernBERT keeps attention's as a number
            layer.attention_dropout = rate  # type: ignore[assignment]


def save(encoder: PreTrainedModel, tokenizer_folder: Path, folder: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer's files: a folder for `AutoModel.from_pretrained`."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    encoder.save_pretrained(folder, max_shard_size="5GB")
    for name in TOKENIZER_FILES:
        if (tokenizer_folder / name).is_file():
            shutil.copyfile(tokenizer_folder / name, folder / name)
