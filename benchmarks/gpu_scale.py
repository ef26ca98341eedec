"""Sizes of the checks on a GPU, for one card of 139 GiB and at toy size."""

from dataclasses import dataclass
from typing import Any

from isthmus.presets import PRESETS


@dataclass(frozen=True)
class Model:
    """A model of random weights: its configuration in transformers, and the type that its folder has."""

    config: dict[str, Any]
    dtype: str = "fp32"


@dataclass(frozen=True)
class GpuScale:
    """Sizes of every check. `large` maps a recipe's name to its model and the options that make it fit."""

    name: str
    models: dict[str, Model]
    batch: int
    steps: int
    large: dict[str, tuple[str, dict[str, Any]]]
    large_steps: int
    small: dict[str, Any]
    pretraining: dict[str, Any]
    fine_tuning: dict[str, Any]


def shape(
    kind: str, layers: int, width: int, heads: int, feed_forward: int, rows: int, dtype: str = "fp32"
) -> Model:
    """A shape of XLM-R's family (`kind`: xlm-roberta, or xlm-roberta-xl for XL and XXL)."""
    config = {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": feed_forward,
        "vocab_size": rows,
        "max_position_embeddings": 514,
    }
    return Model(config, dtype)


XL_RECIPE, XXL_RECIPE, LORA_RECIPE = (dict(PRESETS[f"one-card-{name}"]) for name in ("xl", "xxl", "lora"))
RECIPES = {"XL": ("xl", XL_RECIPE), "XXL": ("xxl", XXL_RECIPE), "XXL with LoRA": ("xxl", LORA_RECIPE)}

H200 = GpuScale(
    name="h200",
    models={
        "large": shape("xlm-roberta", 24, 1024, 16, 4096, 250_002),
        "xl": shape("xlm-roberta-xl", 36, 2560, 32, 10240, 250_880, "bf16"),
        "xxl": shape("xlm-roberta-xl", 48, 4096, 32, 16384, 250_880, "bf16"),
    },
    batch=32,
    steps=40,
    large=RECIPES,
    large_steps=20,
    # 11 layers of 384 and 20,000 rows: 27.4 M parameters, and no tensor of more than 16 MiB in bf16.
    small={
        "layers": 11,
        "width": 384,
        "heads": 6,
        "feed_forward": 1536,
        "positions": 256,
        "dropout": 0.1,
    },
    pretraining={
        "precision": "bf16",
        "steps": 4_000,
        "tokens_per_batch": 32_768,
        "max_length": 128,
        "learning_rate": 1e-3,
        "warmup": 0.05,
        "select": "last",
    },
    fine_tuning={
        "precision": "bf16",
        "learning_rate": 1e-4,
        "steps": 2_000,
        "batch_size": 32,
        "eval_every": 500,
        "eval_examples": 2_000,
    },
)

TOY = GpuScale(
    name="toy",
    models={
        "large": shape("xlm-roberta", 2, 32, 2, 64, 300),
        "xl": shape("xlm-roberta-xl", 2, 32, 2, 64, 300, "bf16"),
        "xxl": shape("xlm-roberta-xl", 3, 32, 2, 64, 300, "bf16"),
    },
    batch=4,
    steps=4,
    large=RECIPES,
    large_steps=2,
    small={"layers": 1, "width": 32, "heads": 2, "feed_forward": 64, "positions": 128, "dropout": 0.1},
    pretraining={
        "precision": "bf16",
        "steps": 3,
        "tokens_per_batch": 400,
        "max_length": 64,
        "learning_rate": 1e-3,
        "select": "last",
    },
    fine_tuning={"precision": "bf16", "steps": 3, "batch_size": 4, "eval_every": 3, "max_length": 64},
)
