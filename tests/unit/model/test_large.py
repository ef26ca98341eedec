import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from isthmus.data import encoder as fetched
from isthmus.families import retrieve
from isthmus.model import encoder as encoders
from isthmus.model import lora, packing
from isthmus.model.device import autocast, states_dtype
from isthmus.model.heads import ClassificationHead
from isthmus.recipe import full
from isthmus.train.optimizer import RoundedAdamW, clip, make
from isthmus.units import ENCODER_FILES
from isthmus.work import Work
from tests.unit.model.small import ABSOLUTE, MODERN, SHARED, batch

DEBERTA = {"max_position_embeddings": 34, "relative_attention": True, "norm_rel_ebd": "layer_norm"}
# with the name of the norm that the encoder ends with
PRE_NORM = {
    "xlm-roberta-xl": (ABSOLUTE, "encoder.LayerNorm"),
    "modernbert": (MODERN, "final_norm"),
    "eurobert": ({"num_key_value_heads": 1}, "norm"),
}
# DeBERTa has a LayerNorm beside its layers that is for something else.
POST_NORM = {"xlm-roberta": ABSOLUTE, "bert": ABSOLUTE, "deberta-v2": DEBERTA}


def model(kind: str, changes: dict, dtype: torch.dtype = torch.float32):
    torch.manual_seed(1)
    made = AutoModel.from_config(AutoConfig.for_model(kind, **SHARED, **changes)).to(dtype)
    for name, p in made.named_parameters():
        if p.dim() == 1:  # norms that do nothing would hide whether they are applied, and how often
            p.data += torch.rand(p.shape, generator=torch.Generator().manual_seed(len(name)))
    return made


def of_transformers(encoder, given) -> list[torch.Tensor]:
    output = encoder(given["input_ids"], attention_mask=given["attention_mask"], output_hidden_states=True)
    assert output.hidden_states[-1] is output.last_hidden_state
    return list(output.hidden_states)


@pytest.mark.parametrize("lengths", [(20, 3, 9, 14), (12, 12)], ids=["packed", "full"])
@pytest.mark.parametrize("kind", PRE_NORM)
@torch.no_grad()
def test_states_that_were_never_normalised_are(kind: str, lengths: tuple[int, ...]) -> None:
    changes, name = PRE_NORM[kind]
    encoder, plain = model(kind, changes).eval(), model(kind, changes).eval()
    given = batch(lengths)
    real = given["attention_mask"] == 1
    theirs, norm = of_transformers(plain, given), plain.get_submodule(name)
    raw = encoders.all_hidden_states(encoder, given, normalise=False)
    ours = encoders.all_hidden_states(encoder, given)
    assert len(ours) == len(raw) == len(theirs) == 4
    for layer, states in enumerate(theirs):
        assert torch.allclose(raw[layer][real], states[real], atol=1e-5)
        once = states if layer == 3 else norm(states)  # the last has been through it
        assert torch.allclose(ours[layer][real], once[real], atol=1e-5)
        assert layer == 3 or not torch.allclose(ours[layer][real], states[real], atol=0.1)
    assert not encoder.get_submodule(name)._forward_hooks


@pytest.mark.parametrize("kind", POST_NORM)
@torch.no_grad()
def test_states_that_are_normalised_keep_their_bytes(kind: str) -> None:
    encoder = model(kind, POST_NORM[kind]).eval()
    for given in (batch(), batch((12, 12))):
        one = encoders.all_hidden_states(encoder, given)
        other = encoders.all_hidden_states(encoder, given, normalise=False)
        assert len(one) == 4 and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@torch.no_grad()
def test_the_recipe_says_what_is_pooled() -> None:
    encoder = model("xlm-roberta-xl", ABSOLUTE).eval()
    head, vectors = retrieve.head(encoder.config, {}), {}
    for normalised in (True, False):
        given = {**batch(), "normalised": torch.full((len(batch()["input_ids"]),), normalised)}
        vectors[normalised] = retrieve.outputs(encoder, head, given)["vectors"]
    assert np.allclose(vectors[False][:, -1], vectors[True][:, -1], atol=1e-6)
    states = of_transformers(encoder, batch())[1][1, :3].mean(0)
    assert np.allclose(vectors[False][1, 1], states, atol=1e-5)
    assert not np.allclose(vectors[True][1, 1], states, atol=0.1)


CHECKPOINTED = {"gradient_checkpointing": True, "learning_rate": 1e-2}
ONE_CARD = {
    "bf16": {**CHECKPOINTED, "precision": "bf16"},
    "bf16_states": {**CHECKPOINTED, "precision": "bf16_states"},
    "lora": {**CHECKPOINTED, "precision": "bf16_states", "lora_rank": 4},
}


def train(options: dict, steps: int = 3) -> tuple[list[float], list[torch.Tensor]]:
    """Losses and norms of some steps as one card takes them, and the weights that were trained."""
    recipe = full(options)
    encoder = model("xlm-roberta-xl", ABSOLUTE, states_dtype(recipe.precision))
    torch.manual_seed(7)
    head = ClassificationHead(encoder.config, 3)
    if recipe.lora_rank is not None:
        lora.attach(encoder, recipe, 1)
    encoders.checkpoint_layers(encoder)
    encoder.train()
    named = {**dict(encoder.named_parameters()), **{f"head.{name}": p for name, p in head.named_parameters()}}
    optimizer = make(named, recipe, 1)
    assert isinstance(optimizer, RoundedAdamW) == (options is ONE_CARD["bf16_states"])
    given, labels = batch(), torch.tensor([0, 1, 2, 1])
    losses = []
    for _ in range(steps):
        with autocast(recipe.precision, encoder.device):
            logits = head(encoders.first_states(encoder, given))
            loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        assert packing._first_positions.get(encoder, 2) == 2  # where it is asked to pack, it does
        norm = clip(named.values(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        losses += [loss.item(), norm.item()]
    return losses, [p.detach().float() for p in named.values() if p.requires_grad]


@pytest.mark.parametrize("name", ONE_CARD)
def test_the_recipes_for_one_card_train_packed_as_padded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses, weights = train(ONE_CARD[name])
    assert np.isfinite(losses).all() and losses[0] > losses[2] > losses[4]
    assert all(weight.isfinite().all() for weight in weights)
    again, same = train(ONE_CARD[name])
    assert again == losses and all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    monkeypatch.setattr(packing, "pack", lambda encoder, batch: None)
    assert train(ONE_CARD[name])[0] == pytest.approx(losses, rel=0.03)


# Prints the most anonymous memory in use while an encoder was loaded in each type, above what was before, and its
# size, in KiB.
MEASURED = r"""
import re, sys, threading
from pathlib import Path
import torch
from transformers.models.xlm_roberta_xl import modeling_xlm_roberta_xl
from isthmus.model.encoder import load

def anonymous():
    return int(re.search(r"^Anonymous:\s+(\d+)", Path("/proc/self/smaps_rollup").read_text(), re.M)[1])

def watch():
    global most
    while watching:
        most = max(most, anonymous())

torch.set_num_threads(1)
for dtype in (torch.float32, torch.bfloat16):
    encoder = None
    before = most = anonymous()
    watching, thread = True, threading.Thread(target=watch)
    thread.start()
    encoder = load(Path(sys.argv[1]), dtype)
    watching = False
    thread.join()
    size = sum(p.numel() * p.element_size() for p in encoder.parameters()) // 1024
    print(max(most, anonymous()) - before, size)
"""


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """An encoder of 157 MB in four files or more."""
    folder = tmp_path / "shards"
    shape = {**SHARED, "hidden_size": 640, "num_hidden_layers": 8, "intermediate_size": 2560, **ABSOLUTE}
    config = AutoConfig.for_model("xlm-roberta-xl", **shape)
    model = AutoModel.from_config(config, **encoders._no_pooler(config))
    model.save_pretrained(folder, max_shard_size="40MB")
    assert len(list(folder.glob("model-*.safetensors"))) >= 4
    return folder


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells")
def test_loading_makes_no_second_copy(shards: Path) -> None:
    run = subprocess.run([sys.executable, "-c", MEASURED, shards], capture_output=True, text=True, check=True)
    for line, expected in zip(run.stdout.splitlines(), (157_000, 78_500), strict=True):
        used, size = map(int, line.split())
        assert size == pytest.approx(expected, rel=0.1)
        assert used <= 1.1 * size + 8 * 1024  # a few MB go to everything else


def test_a_sharded_encoder_is_fetched_whole(unit: Callable[..., Work], world: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub" / "facebook" / "xl"
    saved = model("xlm-roberta-xl", ABSOLUTE)
    saved.save_pretrained(hub, max_shard_size="10KB")
    shutil.copyfile(world / "tokenizer" / "tokenizer.json", hub / "tokenizer.json")
    spec = {"source": {"hub": "mirror", "id": "facebook/xl"}, "files": list(ENCODER_FILES)}
    work = unit("encoder", spec, {"hub": tmp_path / "hub"})
    fetched.run([work])
    assert {path.name for path in hub.iterdir()} == {path.name for path in work.folder.iterdir()}
    loaded, kept = encoders.load(work.folder).state_dict(), saved.state_dict()
    assert len(list(hub.glob("model-*.safetensors"))) > 2 and loaded.keys() < kept.keys()  # it has no pooler
    assert all(torch.equal(loaded[name], kept[name]) for name in loaded)
    halved = encoders.load(work.folder, torch.bfloat16)
    assert {p.dtype for p in halved.parameters()} == {torch.bfloat16}
