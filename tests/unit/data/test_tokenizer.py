from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece
from tokenizers import Tokenizer

from isthmus.data import tokenizer
from isthmus.errors import DataError

# One sentence in each of many scripts, with what normalisation changes: full width, ligatures, blanks, an ellipsis.
SAMPLE = [
    "The quick brown fox, it seems, jumped over 17 lazy dogs…",
    "Größe und Maß: ﬁnden Sie’s heraus!",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "いろはにほへと　ちりぬるを。ＡＢＣ１２３",
    "我能吞下玻璃而不伤身体。",
    "키스의 고유조건은 입술끼리 만나야 하고",
    "Pijamalı hasta yağız şoföre çabucak güvendi\t\tve gitti.",
    "ٹھنڈ میں، ایک قحط زدہ گاؤں سے گذرتے وقت",
    "e\u0301te\u0301 ½ ™ \u00a0 \u200b x",
]
SPEC = {"vocab_size": 400, "character_coverage": 1.0, "sentences_per_language": 50, "threads": 1, "seed": 1}


@pytest.fixture(scope="module")
def model() -> bytes:
    return tokenizer.learn(SAMPLE * 3, 400, 1.0, 1)


def test_training_again_gives_the_same_bytes(model: bytes) -> None:
    assert tokenizer.learn(SAMPLE * 3, 400, 1.0, 1) == model


def test_fast_ids_are_sentencepieces_plus_one(model: bytes, tmp_path: Path) -> None:
    tokenizer.write(model, tmp_path)
    fast = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    slow = sentencepiece.SentencePieceProcessor(model_proto=model)
    unseen = ["Zebras jagen Ёжика через 中文 텍스트 کا وقت", "🙂 unknown 𝔘"]
    for text in [*SAMPLE, *unseen]:
        expected = [piece + 1 if piece > 2 else 3 for piece in slow.encode(text)]
        assert fast.encode(text, add_special_tokens=False).ids == expected, text
    assert 3 in fast.encode(unseen[1]).ids


def test_the_folder_loads_as_an_auto_tokenizer(model: bytes, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    rows = tokenizer.write(model, tmp_path)
    auto = AutoTokenizer.from_pretrained(tmp_path)
    fast = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert auto.is_fast and len(auto) == rows
    ids = [auto.bos_token_id, auto.pad_token_id, auto.eos_token_id, auto.unk_token_id, auto.mask_token_id]
    assert ids == [0, 1, 2, 3, rows - 1]
    for text in SAMPLE:
        assert auto(text).input_ids == fast.encode(text).ids
    pair = auto("brown fox", "lazy dogs").input_ids
    assert pair[0] == 0 and pair.count(2) == 3 and fast.encode("brown fox", "lazy dogs").ids == pair
    assert auto.decode(auto("lazy dogs").input_ids, skip_special_tokens=True) == "lazy dogs"


def test_a_word_that_is_always_followed_by_a_blank_can_be_a_piece() -> None:
    sentences = [f"the {a}{b} saw the {b}{a} by the {a}." for a in "pqrs" for b in "tuvw"]
    fast = tokenizer.convert(_proto(tokenizer.learn(sentences, 60, 1.0, 1)))
    assert "▁the" in fast.encode("the pt").tokens


def _proto(model: bytes) -> object:
    return sentencepiece.sentencepiece_model_pb2.ModelProto.FromString(model)


def test_only_training_text_is_read_and_translations_are_a_language_of_their_own(tmp_path: Path) -> None:
    for split in ("train", "test"):
        table = {"text": [f"{split} one\n\n{split} two", None], "pair": [f"{split} other", None]}
        pq.write_table(pa.table(table), tmp_path / f"{split}.parquet")
    lines = tokenizer.collect({"data/text/sw": tmp_path})
    assert lines == {"sw": ["train one", "train two"], "pair": ["train other"]}


def test_a_sample_is_seeded_and_never_more_than_asked_for() -> None:
    lines = {"b": [f"b{n}" for n in range(50)], "a": ["same"] * 9}
    drawn = list(tokenizer.sample(lines, 10, 1))
    assert drawn[0] == "same" and len(drawn) == 11
    assert drawn == list(tokenizer.sample(lines, 10, 1)) != list(tokenizer.sample(lines, 10, 2))
    assert set(drawn[1:]) < set(lines["b"])


def test_the_stage_writes_a_whole_folder(unit, world: Path) -> None:
    work = unit("tokenizer", SPEC | {"vocab_size": 100}, {"data/cue/here": world / "data/cue/here"})
    tokenizer.run([work])
    names = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "sentencepiece.bpe.model"}
    assert {path.name for path in work.folder.iterdir()} == names
    assert 20 < work.commit.only["details"]["rows"] <= 100


def test_inputs_without_training_text_are_refused(unit, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text"):
        tokenizer.run([unit("tokenizer", SPEC, {"data/text/en": tmp_path})])
