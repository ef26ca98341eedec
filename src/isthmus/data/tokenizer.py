"""The tokenizer stage: a sentencepiece Unigram model of the study's text, as a fast tokenizer with XLM-R's ids.

The trainer of `tokenizers` gives other pieces on every run; sentencepiece with one thread does not, so it learns
the pieces, and its model is then written out as the tokenizer.json that `tokenizers` and `AutoTokenizer` read.

Ids, as in XLM-R: <s> 0, <pad> 1, </s> 2, <unk> 3, the pieces (sentencepiece's id + 1), <mask> last.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from isthmus.data.seeds import stream
from isthmus.errors import DataError
from isthmus.log import say
from isthmus.work import Work

BOS, PAD, EOS, UNK, MASK = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
TEXT_COLUMNS = ("text_a", "text_b", "text")
TRANSLATION_COLUMN = "pair"
# Of the rows of the embedding table, <pad> and <mask> are not pieces of the sentencepiece model.
ROWS_BESIDE_PIECES = 2
LONGEST_LINE_BYTES = 1 << 16
MODEL_FILE = "sentencepiece.bpe.model"
TRAINING_FILE = "train.parquet"


def run(works: Sequence[Work]) -> None:
    """Train each tokenizer; `spec` has vocab_size (rows of the embedding), character_coverage,
    sentences_per_language, threads and seed; inputs are the fetched folders `data/<task>/<language>`.

    Raises:
        DataError: no text at all in the inputs.
    """
    for work in works:
        spec = work.spec
        sentences = list(sample(collect(work.inputs), spec["sentences_per_language"], spec["seed"]))
        if not sentences:
            raise DataError(
                f"{work.name}: the training splits of {sorted(work.inputs)} hold no text to learn from."
            )
        model = learn(sentences, spec["vocab_size"], spec["character_coverage"], spec["threads"])
        rows = write(model, work.folder)
        say(f"tokenizer of {rows} rows from {len(sentences)} sentences")
        work.commit(details={"rows": rows, "sentences": len(sentences)})


def collect(inputs: Mapping[str, Path]) -> dict[str, list[str]]:
    """Language -> its lines, in the order of the roles and rows. A row's translation is a language of its own
    here (all are of one language, and the rows need not say which).

    Only training splits are read: a tokenizer that had seen the test sentences would favour them.
    """
    lines: dict[str, list[str]] = {}
    for role in sorted(inputs):
        language = role.rsplit("/", 1)[-1]
        path = inputs[role] / TRAINING_FILE
        if not path.is_file():
            continue
        present = pq.read_schema(path).names
        for column in (name for name in (*TEXT_COLUMNS, TRANSLATION_COLUMN) if name in present):
            bucket = TRANSLATION_COLUMN if column == TRANSLATION_COLUMN else language
            texts = pq.read_table(path, columns=[column]).column(column).to_pylist()
            lines.setdefault(bucket, []).extend(
                line for text in texts if text for line in text.splitlines() if line.strip()
            )
    return lines


def sample(lines: Mapping[str, Sequence[str]], most: int, seed: int) -> Iterator[str]:
    """At most `most` distinct lines of each language, drawn by the seed; languages in alphabetical order."""
    for language in sorted(lines):
        distinct = list(dict.fromkeys(lines[language]))
        order = stream(seed, "tokenizer", language).permutation(len(distinct))[:most]
        yield from (distinct[i] for i in sorted(order))


def learn(sentences: Sequence[str], vocab_size: int, character_coverage: float, threads: int) -> bytes:
    """A serialised sentencepiece Unigram model. Equal arguments give equal bytes.

    `vocab_size` counts the rows of the embedding, special tokens included; text too small for it gives fewer.

    The trainer takes its first pieces from repeats that go on in more than one way. A word that is always followed
    by a blank, as articles are, would not be among them, so the text is given as lines of two words: a word then
    goes on with a blank here and ends a line there. No piece holds a blank within, so nothing else changes.
    """
    words = [word for sentence in sentences for word in sentence.split()]
    lines = (" ".join(words[start : start + 2]) for start in range(0, len(words), 2))
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=out,
        model_type="unigram",
        vocab_size=vocab_size - ROWS_BESIDE_PIECES,
        hard_vocab_limit=False,
        character_coverage=character_coverage,
        num_threads=threads,
        max_sentence_length=LONGEST_LINE_BYTES,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    return out.getvalue()


def write(model: bytes, folder: Path) -> int:
    """Write a tokenizer folder for a serialised sentencepiece model; returns the rows an embedding needs."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    fast = convert(proto)
    (folder / MODEL_FILE).write_bytes(model)
    fast.save(str(folder / "tokenizer.json"), pretty=False)
    _write_json(folder / "tokenizer_config.json", _configuration())
    _write_json(folder / "special_tokens_map.json", _special_tokens())
    return fast.get_vocab_size()


def convert(proto: Any) -> Tokenizer:
    """The fast tokenizer of a sentencepiece model: the pipeline that transformers builds for XLM-R."""
    vocabulary = [(BOS, 0.0), (PAD, 0.0), (EOS, 0.0), (UNK, 0.0)]
    vocabulary += [(piece.piece, piece.score) for piece in proto.pieces[3:]]
    vocabulary += [(MASK, 0.0)]
    fast = Tokenizer(Unigram(vocabulary, unk_id=3, byte_fallback=False))
    fast.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    fast.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    fast.post_processor = processors.TemplateProcessing(
        single=[BOS, "$A", EOS],
        pair=[BOS, "$A", EOS, EOS, "$B", EOS],
        special_tokens=[(BOS, 0), (EOS, 2)],
    )
    fast.add_special_tokens([BOS, PAD, EOS, UNK, AddedToken(MASK, lstrip=True)])
    return fast


def _special_tokens() -> dict[str, str]:
    return {
        "bos_token": BOS,
        "eos_token": EOS,
        "sep_token": EOS,
        "cls_token": BOS,
        "unk_token": UNK,
        "pad_token": PAD,
        "mask_token": MASK,
    }


def _configuration() -> dict[str, Any]:
    mask = {"__type": "AddedToken", "content": MASK, "lstrip": True, "normalized": False, "rstrip": False}
    return {
        **_special_tokens(),
        "mask_token": {**mask, "single_word": False, "special": True},
        "model_max_length": 512,
        "tokenizer_class": "XLMRobertaTokenizer",
    }


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
