"""A tokenizer for each encoder of a study: its own where it has one already, else a stand-in.

An encoder that is pre-trained by the study has no tokenizer yet when its data are checked. The stand-in is of the same
kind (Unigram after NFKC, XLM-R's special tokens, an unknown piece): the words and characters of the rows that are tried.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from safetensors import SafetensorError, safe_open
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram
from transformers import AutoConfig, AutoModel, PreTrainedModel

from isthmus.data import tokenize
from isthmus.data.batch import Specials, specials
from isthmus.errors import DataError, IsthmusError

BOS, PAD, EOS, UNK, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
SPACE = "▁"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MOST_WORDS = 4000
RARE = -20.0  # log probability of a character that no word brings along


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer and its special tokens."""

    tokenizer: Tokenizer
    specials: Specials


def vocabulary(folder: Path) -> Vocabulary:
    """The tokenizer in a folder.

    Raises:
        DataError: it is none, or lacks special tokens.
    """
    try:
        return Vocabulary(tokenize.load(folder), specials(folder))
    except (IsthmusError, OSError, MemoryError):
        raise
    except Exception as error:  # the library's own, of no class in particular
        raise DataError(
            f"tokenizer.json cannot be read ({error}). Fetch the encoder again, or save its fast tokenizer anew."
        ) from error


def stand_in(tables: Iterable[pa.Table], folder: Path) -> Vocabulary:
    """A tokenizer of the words of some tables, written to the folder."""
    words = Counter(word for text in _texts(tables) for word in text.split())
    total = max(1, words.total())
    common = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))[:MOST_WORDS]
    pieces = {f"{SPACE}{word}": math.log(count / total) for word, count in common}
    pieces |= {character: RARE for character in sorted({SPACE, *"".join(words)}) if character not in pieces}
    entries = [(name, 0.0) for name in (BOS, PAD, EOS, UNK)]
    entries += [*pieces.items(), (MASK, 0.0)]
    fast = Tokenizer(Unigram(entries, unk_id=3, byte_fallback=False))
    fast.normalizer = normalizers.NFKC()
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"),
        ]
    )
    fast.add_special_tokens([BOS, PAD, EOS, UNK, AddedToken(MASK, lstrip=True)])
    fast.save(str(folder / "tokenizer.json"))
    return vocabulary(folder)


def _texts(tables: Iterable[pa.Table]) -> Iterator[str]:
    for table in tables:
        for name in table.column_names:
            column = table[name].combine_chunks()
            if pa.types.is_list(column.type):
                column = column.flatten()
            if pa.types.is_string(column.type) and name != "id":
                yield from (text for text in column.to_pylist() if text)


def outline(folder: Path) -> PreTrainedModel:
    """The encoder of a folder without its weights, which take no memory.

    Raises:
        DataError: config.json names no encoder that there is, or a file of weights is damaged or missing.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model: PreTrainedModel = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"config.json does not describe an encoder that can be loaded ({error}). Fetch it again, or choose another."
        ) from error
    held = {path.name: _names_in(path) for path in sorted(folder.glob("*.safetensors"))}
    if WEIGHTS not in held:  # one file of all weights is read before any index
        _require_all(folder / INDEX, held)
    return model


def _names_in(path: Path) -> frozenset[str]:
    """The names of the weights that a file has."""
    try:
        with safe_open(path, "pt") as file:
            return frozenset(file.keys())
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path.name} is no whole file of weights ({error}). Fetch it again.") from error


def _require_all(index: Path, held: Mapping[str, frozenset[str]]) -> None:
    """An index of weights names, for each, the file that has it: all of them must be there."""
    if not index.is_file():
        return
    try:
        places = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{INDEX} is no index of weights ({error!r}). Fetch it again.") from error
    for name, file in places.items():
        if file not in held:
            raise DataError(f"{INDEX} names {file}, which is not there. Fetch it again.")
        if name not in held[file]:
            raise DataError(f"{INDEX} says that {file} has {name}, and it has not. Fetch both again.")


def embedding_rows(encoder: PreTrainedModel) -> int:
    """The rows of the encoder's embedding."""
    weight = encoder.get_input_embeddings().weight
    return weight.shape[0] if isinstance(weight, torch.Tensor) else 0
