"""Recipes by name for encoders that fill a card."""

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "one-card-xl": {"precision": "bf16", "gradient_checkpointing": True},
    "one-card-xxl": {"precision": "bf16_states", "gradient_checkpointing": True},
    "one-card-lora": {
        "precision": "bf16_states",
        "gradient_checkpointing": True,
        "lora_rank": 16,
        "learning_rate": 2e-4,
    },
}
"""Options for encoders that fill a card, by name. For each weight the first keeps 16 bytes (XLM-R XL: 52 GiB), the second
8 (XXL: 80 GiB), the third 2 (XXL: 20 GiB)."""
