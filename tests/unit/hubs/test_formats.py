"""What files at an address are made into: treebanks, pools and pairs, SQuAD's JSON, lines with tabs."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import DataError, UsageError
from isthmus.hubs import formats
from isthmus.tasks import archive


def words(*lines: str) -> str:
    """A sentence in CoNLL-U: `number form tag head [enhanced]`, or `span form` of a contracted word."""
    found = []
    for line in lines:
        fields = line.split(" ")
        number, form, tag, head, enhanced = (*fields, "_", "_", "_")[:5] if len(fields) < 5 else fields
        found.append("\t".join((number, form, "_", tag, "_", "_", head, "dep", enhanced, "_")))
    return "\n".join(found) + "\n\n"


def bank(text: str, name: str = "xx_bank-ud-test.conllu") -> list[list[tuple[str, str | None]]]:
    """The sentences of a treebank as XTREME has them: words with their tags."""
    table = formats.load("conllu").read(io.BytesIO(text.encode()), f"ud/UD_X/{name}", ())
    pairs = zip(table["tokens"].to_pylist(), table["upos"].to_pylist(), strict=True)
    return [list(zip(*pair, strict=True)) for pair in pairs]


# Treebanks ---------------------------------------------------------------------------------------------------


def test_the_part_nearest_to_the_root_tags_a_contracted_word() -> None:
    # Portuguese dele = de + ele: the preposition hangs on the pronoun.
    text = words("1 lugar NOUN 0", "2-3 dele", "2 de ADP 3", "3 ele PRON 1", "4 . PUNCT 1")
    assert bank(text) == [[("lugar", "NOUN"), ("dele", "PRON"), (".", "PUNCT")]]


TIE = ("1-2 X", "1 a {} 3", "2 b {} 3", "3 c VERB 0")


@pytest.mark.parametrize(
    ("language", "tags", "tag"),
    [
        ("de", "DET ADP", "ADP"),  # im, zum: the list for languages without one of their own
        ("tr", "AUX ADJ", "ADJ"),
        ("xx", "PRON VERB", "VERB"),
        ("es", "DET ADP", "ADP"),
        ("es", "PRON AUX", "AUX"),
        ("it", "PRON ADV", "ADV"),  # elsewhere the pronoun would win
        ("pt", "PRON ADV", "PRON"),
        ("fr", "ADP PRON", "PRON"),
        ("fr", "NOUN PRON", "PRON"),  # elsewhere the noun would win
        ("xx", "SYM PUNCT", "PUNCT"),  # what is in no list comes last
        ("xx", "SYM INTJ", "INTJ"),
    ],
)
def test_of_equally_near_parts_the_languages_list_decides(language: str, tags: str, tag: str) -> None:
    for order in (tags.split(), tags.split()[::-1]):
        lines = [line.format(order[place]) if place in (0, 1) else line for place, line in enumerate(TIE[1:])]
        assert bank(words(TIE[0], *lines), f"{language}_bank-ud-dev.conllu") == [[("X", tag), ("c", "VERB")]]


def test_of_equal_tags_the_first_part_stays() -> None:
    """The parts' own words are gone, so only what follows tells; the tag is the same."""
    text = words(
        "1-2 X", "1 a NOUN 3", "2 b NOUN 3", "3 c VERB 0", "4-6 Y", "4 d ADP 6", "5 e DET 6", "6 f NOUN 3"
    )
    assert bank(text) == [[("X", "NOUN"), ("c", "VERB"), ("Y", "NOUN")]]


def test_enhanced_dependencies_count_as_edges() -> None:
    plain = words("1-2 X", "1 a VERB 3", "2 b ADP 3", "3 c VERB 0", "4 d NOUN 3")
    assert bank(plain)[0][0] == ("X", "VERB")
    # With one more above it, a lies deeper than b, whatever their tags are.
    more = words("1-2 X", "1 a VERB 3 3:dep|4:dep", "2 b ADP 3 3:dep", "3 c VERB 0", "4 d NOUN 3")
    assert bank(more)[0][0] == ("X", "ADP")
    empty = words("1-2 X", "1 a ADP 3 3:case|8.1:case", "2 b DET 3", "3 c VERB 0", "8.1 e NOUN _ 3:dep")
    assert bank(empty)[0] == [("X", "ADP"), ("c", "VERB")]


def test_sentences_without_their_text_are_left_out() -> None:
    blank = words("1 _ NOUN 2", "2 _ VERB 0", "3 . PUNCT 2")
    one = words("1 _ NOUN 2", "2 runs VERB 0")
    kept = words("1 _ SYM 2", "2 runs VERB 0", "3 . PUNCT 2")
    assert bank(blank + one + words("1 _ X 0") + kept) == [[("_", "SYM"), ("runs", "VERB"), (".", "PUNCT")]]


def test_words_are_rid_of_blanks_and_joiners() -> None:
    text = words("1 10_000 NUM 2", "2 می‌رود VERB 0").replace("10_000", "10 000")
    assert bank("# text = …\n" + text) == [[("10000", "NUM"), ("میرود", "VERB")]]


def test_a_word_without_a_tag_has_no_gold() -> None:
    assert bank(words("1 a _ 2", "2 b X 0")) == [[("a", None), ("b", "X")]]


def test_ids_tell_file_and_sentence_and_the_last_blank_line_may_be_missing() -> None:
    text = (words("1 _ X 0") + words("1 a X 0")).rstrip("\n") + "\n"
    table = formats.load("conllu").read(io.BytesIO(text.encode()), "a/de_gsd-ud-dev.conllu", ())
    assert table["id"].to_pylist() == ["de_gsd-ud-dev.conllu/2"]


@pytest.mark.parametrize("line", ["1\ttwo", "x" + "\t_" * 9, "1" + "\t_" * 10, "1\t\xff".encode("latin-1")])
def test_what_is_no_conllu_is_named(line: str | bytes) -> None:
    content = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(DataError, match=r"de_gsd-ud-dev\.conllu, line 2 is no"):
        formats.load("conllu").read(io.BytesIO(b"# comment\n" + content + b"\n"), "de_gsd-ud-dev.conllu", ())


# Pools and pairs ---------------------------------------------------------------------------------------------


def test_pools_and_pairs() -> None:
    pools = formats.load("pools")
    assert pools.picks("bucc2018/de-en/de-en.sample.de", "de-en.de", "sample")
    assert not pools.picks("bucc2018/de-en/de-en.sample.en", "de-en.de", "sample")
    assert not pools.picks("bucc2018/de-en/de-en.training.de", "de-en.de", "sample")
    pool = pools.read(io.BytesIO(b"de-1\tEin Satz. \r\n\nde-2\tmit\tTab\n"), "x/de-en.sample.de", ())
    assert pool.to_pydict() == {"id": ["de-1", "de-2"], "sentence": ["Ein Satz. ", "mit\tTab"]}
    gold = pools.read(io.BytesIO(b"de-1\ten-9\n"), "x/de-en.sample.gold", ())
    assert gold.to_pydict() == {"id1": ["de-1"], "id2": ["en-9"]}
    with pytest.raises(DataError, match=r"de-en\.sample\.de, line 1 is not an id, a tab and a sentence"):
        pools.read(io.BytesIO(b"no tab\n"), "x/de-en.sample.de", ())


def test_real_pools_by_way_of_the_format(mirror: Path) -> None:
    pools = formats.load("pools")
    for side, names in (("zh", ("id", "sentence")), ("en", ("id", "sentence")), ("gold", ("id1", "id2"))):
        folder = mirror / "mirror-extra/bucc2018" / f"zh-en.{side}"
        table = pq.read_table(next(folder.glob("*.parquet"))).replace_schema_metadata(None)
        lines = "".join(
            f"{a}\t{b}\n" for a, b in zip(*(table[name].to_pylist() for name in names), strict=True)
        )
        assert pools.read(io.BytesIO(lines.encode()), f"zh-en.sample.{side}", ()).equals(table)


# Questions ---------------------------------------------------------------------------------------------------


def test_questions_with_and_without_sentence_breaks() -> None:
    question = {"id": 7, "question": "Wer?", "answers": [{"text": "Ich", "answer_start": 0}]}
    paragraph = {"context": "Ich. Du.", "qas": [question, {**question, "id": 8, "answers": []}]}
    read = formats.load("squad").read

    def table(**more: object) -> pa.Table:
        document = {"data": [{"title": "T", "paragraphs": [{**paragraph, **more}]}]}
        return read(io.BytesIO(json.dumps(document).encode()), "x.json", ())

    plain = table()
    assert plain.column_names == ["id", "title", "context", "question", "answers"]
    assert plain["id"].to_pylist() == ["7", "8"]
    assert plain["answers"].to_pylist() == [
        {"text": ["Ich"], "answer_start": [0]},
        {"text": [], "answer_start": []},
    ]
    broken = table(sentence_breaks=[[0, 4], [5, 8]])
    assert broken.schema.field("sentence_breaks").type == pa.list_(pa.list_(pa.int32()))
    assert broken["sentence_breaks"].to_pylist() == [[[0, 4], [5, 8]]] * 2


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"data": [{"paragraphs": [{"qas": []}, 3]}]}', '{"data": [{"paragraphs": [{"qas": [1]}]}]}'],
)
def test_what_is_no_squad_is_named(text: str) -> None:
    with pytest.raises(DataError, match=r"x\.json is not JSON as SQuAD has it"):
        formats.load("squad").read(io.BytesIO(text.encode()), "x.json", ())


def test_real_questions_by_way_of_the_format(mirror: Path) -> None:
    table = pq.read_table(mirror / "mirror-extra/lareqa/xquad-r.de")
    paragraphs: dict[str, dict] = {}
    for row in table.to_pylist():
        found = {"context": row["context"], "sentence_breaks": row["sentence_breaks"], "qas": []}
        answers = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        paragraphs.setdefault(row["context"], found)["qas"].append(
            {
                "id": row["id"],
                "question": row["question"],
                "answers": [{"text": text, "answer_start": start} for text, start in answers],
            }
        )
    text = json.dumps({"data": [{"paragraphs": list(paragraphs.values())}]}).encode()
    made = formats.load("squad").read(io.BytesIO(text), "de.json", ())
    order = {name: place for place, name in enumerate(made["id"].to_pylist())}
    made = made.take([order[name] for name in table["id"].to_pylist()])
    for column in ("id", "context", "question", "answers", "sentence_breaks"):
        assert made[column].to_pylist() == table[column].to_pylist()


# Lines with tabs ---------------------------------------------------------------------------------------------


def test_lines_with_and_without_names() -> None:
    read = formats.load("tsv").read
    named = read(io.BytesIO(b'a\tb\n1\t"two\n\n3\t4\r\n'), "x.tsv", ())
    assert named.to_pydict() == {"a": ["1", "3"], "b": ['"two', "4"]}
    assert read(io.BytesIO(b"1\t2\n"), "x.tsv", ["a", "b"]).to_pydict() == {"a": ["1"], "b": ["2"]}
    with pytest.raises(DataError, match=r"x\.tsv, line 2 has 3 fields, not 2 \(a, b\)"):
        read(io.BytesIO(b"1\t2\n1\t2\t3\n"), "x.tsv", ["a", "b"])


def test_there_is_no_such_format() -> None:
    with pytest.raises(UsageError, match="no format 'conll'"):
        formats.load("conll")
    for name in archive.formats():
        assert formats.load(name).VERSION >= 1


def test_a_format_is_asked_for_with_its_version() -> None:
    for name in archive.formats():
        asked = formats.word(name)
        assert asked == f"{name}.{formats.load(name).VERSION}"
        assert formats.by_word(asked) is formats.load(name)
    with pytest.raises(UsageError, match=r"planned for the format tsv\.0, .* has tsv\.1\. Plan again"):
        formats.by_word("tsv.0")


def test_a_mark_before_the_first_line_is_no_part_of_a_name() -> None:
    content = "\ufeffid\ttext\n1\tx\n".encode()
    table = formats.load("tsv").read(io.BytesIO(content), "x.tsv", ())
    assert table.to_pylist() == [{"id": "1", "text": "x"}]


def test_columns_of_one_name_are_refused() -> None:
    for content, names in ((b"id\tid\n1\t2\n", ()), (b"1\t2\n", ("id", "id"))):
        with pytest.raises(DataError, match=r"x\.tsv has several columns called 'id'"):
            formats.load("tsv").read(io.BytesIO(content), "x.tsv", names)
