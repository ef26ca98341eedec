"""Small encoders of several kinds, as the tests of the model share them."""

from collections.abc import Sequence

import torch

ROWS, PAD = 50, 1
SHARED = {
    "vocab_size": ROWS,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "pad_token_id": PAD,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
ABSOLUTE = {"max_position_embeddings": 34, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MODERN = {"local_attention": 8, "cls_token_id": 0, "sep_token_id": 2}


def batch(lengths: Sequence[int] = (20, 3, 9, 14)) -> dict[str, torch.Tensor]:
    """Rows of these lengths, padded on the right."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(3, ROWS, mask.shape, generator=torch.Generator().manual_seed(2))
    return {"input_ids": torch.where(mask == 1, ids, PAD), "attention_mask": mask}
